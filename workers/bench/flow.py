"""From accepted to open: how many posts a second go all the way, and what that costs outside the model."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workers.bench import posts
from workers.bench.clients import send_batches
from workers.bench.rows import Measured, Row
from workers.bench.site import Place, Process, Site
from workers.bench.sizes import Sizes

#: Workers of one thread each, as many as the machine of the targets has cores.
WORKERS = 2
_LINES, _CLIENTS = 500, 2
_LOOK_SECONDS = 0.5
_MEGABYTE = 1_000_000

WAITS = "SELECT count(*) FROM (SELECT FROM posts WHERE scoring = 'wanted' LIMIT 1) AS waiting"
# By the database's clock: from the first report stored to the last case opened, of those after an event's number.
_TOOK = """
    SELECT extract(epoch FROM max(at) FILTER (WHERE kind = 'case.assessed')
                            - min(at) FILTER (WHERE kind = 'case.reported')) * 1000000
    FROM events WHERE id > :after
"""


@dataclass(frozen=True)
class Batch:
    """A worker's line about one batch; ``began`` in seconds of its clock."""

    posts: int
    began: float
    seconds: float
    in_model: float


@dataclass
class Drained:
    """What it took to get posts from outside to open cases."""

    posts: int
    seconds: float
    batches: list[list[Batch]]
    progress: list[tuple[float, int]]
    memory: dict[str, int]

    @property
    def posts_per_second(self) -> float:
        return self.posts / self.seconds

    @property
    def overhead_ms(self) -> float:
        """Milliseconds of a worker for each post that were not the model's, waiting between batches included."""
        spent = sum(of_one[-1].began + of_one[-1].seconds - of_one[0].began for of_one in self.batches if of_one)
        in_model = sum(batch.in_model for of_one in self.batches for batch in of_one)
        done = sum(batch.posts for of_one in self.batches for batch in of_one)
        return 1000 * (spent - in_model) / done

    @property
    def mean_batch(self) -> float:
        sizes = [batch.posts for of_one in self.batches for batch in of_one]
        return sum(sizes) / len(sizes)


def drain(
    place: Place, workers: Sequence[Process], reports: Sequence[bytes], *, watch: Sequence[Process] = ()
) -> Drained:
    """Send reports in batches to a place whose web process and workers run, and wait until every case is open.

    Args:
        watch: processes whose largest memory is wanted, by the names of their commands.
    """
    seen = [len(_batches(worker)) for worker in workers]
    after = place.value("SELECT coalesce(max(id), 0) FROM events")
    opened = place.value("SELECT count(*) FROM cases WHERE status = 'open'") if watch else 0
    send(place, reports)
    began = time.monotonic()
    progress, memory = [], dict.fromkeys((process.name for process in watch), 0)
    while place.value(WAITS):
        for worker in workers:
            worker.require_life(time.monotonic() + 1)
        if watch:
            now_open = place.value("SELECT count(*) FROM cases WHERE status = 'open'") - opened
            progress.append((round(time.monotonic() - began, 2), now_open))
        for process in watch:
            memory[process.name] = max(memory[process.name], process.resident_bytes())
        time.sleep(_LOOK_SECONDS)
    took = place.value(_TOOK, after=after) / 1_000_000
    batches = [_batches(worker)[skip:] for worker, skip in zip(workers, seen, strict=True)]
    return Drained(len(reports), took, batches, progress, memory)


def send(place: Place, reports: Sequence[bytes]) -> None:
    """Report in batches, to a place whose web process runs; all of it is accepted."""
    answers = send_batches(place.address, place.key, reports, lines=_LINES, clients=_CLIENTS)
    assert all(answer.status == 202 for answer in answers), {answer.status for answer in answers}


def _batches(worker: Process) -> list[Batch]:
    """What a worker logged, in order."""
    found = []
    for line in worker.log.read_text(encoding="utf-8").splitlines():
        if '"batch done"' in line:
            said = json.loads(line)
            ended = datetime.fromisoformat(said["at"]).timestamp()
            found.append(Batch(said["posts"], ended - said["seconds"], said["seconds"], said["in_model"]))
    return found


def reports(count: int, *, start: int = 0) -> list[bytes]:
    return [posts.report(text) for text in posts.composed(count, start=start)]


def raw(count: int, threads: int) -> float:
    """Posts a second of the bare pipeline, as `triage bench score` measures it, on the same posts."""
    from classifiers.pipeline import Pipeline  # noqa: PLC0415 -- slow import

    pipeline, texts = Pipeline.load(threads=threads), list(posts.composed(count))
    pipeline.score(texts[:32])
    began = time.perf_counter()
    pipeline.score(texts)
    return count / (time.perf_counter() - began)


def end_to_end(site: Site, sizes: Sizes) -> Measured:
    """All of it, with as many one-thread workers as cores, beside the bare pipeline before and after."""
    before = raw(sizes.raw, WORKERS)
    with site.place("flow") as place:
        web, schedule = place.start_web(), place.start("schedule")
        workers = place.start_workers("bulk", WORKERS)
        done = drain(place, workers, reports(sizes.posts), watch=(web, schedule, *workers))
    bare = 2 / (1 / before + 1 / raw(sizes.raw, WORKERS))  # as one run over both halves
    part, n = "flow", done.posts
    rows = [
        Row(part, "bare pipeline, before and after, posts/s", 2 * sizes.raw, bare, ""),
        Row(part, f"accepted to case open, {WORKERS} workers of 1 thread, posts/s", n, done.posts_per_second, ""),
        Row(part, "of the bare pipeline", n, done.posts_per_second / bare, "%", at_least=0.80),
        Row(part, "a post outside the model: queue, database, waiting", n, done.overhead_ms, "ms", at_most=0.4),
    ]
    limits = {"web": 180.0, "schedule": 120.0, "worker": 700.0}
    for what, limit in limits.items():
        most = max(size for name, size in done.memory.items() if name.split()[1] == what) / _MEGABYTE
        rows.append(Row(part, f"largest memory of {what}", n, most, "MB", at_most=limit))
    return Measured(rows, {"progress": [{"seconds": at, "open": count} for at, count in done.progress]})


def scale(site: Site, sizes: Sizes) -> Measured:
    """Two worker processes of one thread against one."""
    rates = {count: one_drain(site, sizes.drained, workers=count).posts_per_second for count in (1, 2)}
    part, n = "scale", sizes.drained
    return Measured(
        [
            Row(part, "1 worker of 1 thread, posts/s", n, rates[1], ""),
            Row(part, "2 workers of 1 thread, posts/s", n, rates[2], ""),
            Row(part, "2 workers against 1", n, rates[2] / rates[1], "times", at_least=1.8),
        ]
    )


def sweep(site: Site, sizes: Sizes) -> Measured:
    """How throughput and overhead move with the size of a batch, and with workers."""
    points = []
    for workers, batch in sizes.combinations:
        done = one_drain(site, sizes.swept, workers=workers, batch_size=batch)
        points.append(
            {
                "workers": workers,
                "batch": batch,
                "posts_per_second": done.posts_per_second,
                "overhead_ms": done.overhead_ms,
                "mean_batch": done.mean_batch,
            }
        )
    rows = [
        Row("sweep", f"batches of {point['batch']}, {point['workers']} workers, posts/s", sizes.swept, rate, "")
        for point in points
        if isinstance(rate := point["posts_per_second"], float)
    ]
    return Measured(rows, {"sweep": points})


def one_drain(site: Site, count: int, *, workers: int, **settings: int) -> Drained:
    """Posts all the way through an empty database, by so many workers of one thread with these settings."""
    with site.place("drain") as place:
        place.start_web()
        place.start("schedule")
        return drain(place, place.start_workers("bulk", workers, **settings), reports(count))
