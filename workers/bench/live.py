"""How long a live report waits for its case, alone and while a bulk import comes in."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from workers.bench import clients, flow, posts
from workers.bench.rows import Measured, Row, percentile
from workers.bench.site import Place, Site
from workers.bench.sizes import Sizes

#: How often it is looked whether a case is open: no wait is known more precisely.
RESOLUTION_SECONDS = 0.02
_CLIENTS = 16
#: Live posts are numbered from here on, so that the import brings none of them.
_FIRST = 10_000_000
_STILL = text("SELECT id FROM cases WHERE id = ANY(CAST(:ids AS uuid[])) AND status <> 'waiting'")
_DONE_SECONDS = 120
#: Waits that a percentile is taken of, at the least.
_FEWEST = 3


@dataclass
class _Reporters:
    """Partners who report one post at a time, by chance, so many a second on average."""

    place: Place
    rate: float
    accepted: dict[str, float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    errors: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    _local: threading.local = field(default_factory=threading.local)
    _callers: list[clients.Caller] = field(default_factory=list)

    def report(self, number: int) -> None:
        if not hasattr(self._local, "caller"):
            self._local.caller = clients.partner(self.place.address, self.place.key)
            self._callers.append(self._local.caller)
        body = posts.report(next(posts.composed(1, start=_FIRST + number)))
        answer = self._local.caller.call("POST", "/api/v1/reports", body)
        if answer.status == 202:
            self.accepted[json.loads(answer.body)["case_id"]] = time.monotonic()
        else:
            self.errors += 1

    def send(self) -> None:
        """Until it is over: at moments drawn by chance, which do not wait for answers."""
        chance, number, due = random.Random(1), 0, time.monotonic()  # noqa: S311 -- repeatable
        with ThreadPoolExecutor(_CLIENTS) as threads:
            while not self.over.wait(max(0.0, due - time.monotonic())):
                threads.submit(self.report, number)
                number += 1
                due += chance.expovariate(self.rate)
        for caller in self._callers:  # their threads have ended
            caller.close()

    def go_on(self, seconds: float, cases: int) -> None:
        """Let so many seconds go by, and more until so many cases were seen in all."""
        time.sleep(seconds)
        deadline = time.monotonic() + _DONE_SECONDS
        while len(self.waits) < cases:
            assert time.monotonic() < deadline, "live cases do not open"
            time.sleep(RESOLUTION_SECONDS)

    def watch(self) -> None:
        """Note for each case how long after the 202 it was seen open; until it is over and none is left."""
        deadline = None
        with self.place.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self.over.is_set() or self.accepted:
                waiting = list(self.accepted)
                for case_id in connection.execute(_STILL, {"ids": waiting}).scalars() if waiting else ():
                    self.waits.append(time.monotonic() - self.accepted.pop(str(case_id)))
                time.sleep(RESOLUTION_SECONDS)
                if self.over.is_set():
                    deadline = deadline or time.monotonic() + _DONE_SECONDS
                    assert time.monotonic() < deadline, f"{len(self.accepted)} live cases do not open"


def live(site: Site, sizes: Sizes, *, rate: float) -> Measured:
    """Reports at ``rate`` a second, alone and then beside an import, with a worker for bulk and two for live."""
    with site.place("live") as place:
        place.start_web()
        place.start("schedule")
        place.start_workers("live", flow.WORKERS)
        place.start_workers("bulk", 1)
        file = place.folder / "bulk.jsonl"
        with file.open("wb") as lines:
            lines.writelines(posts.report(each) + b"\n" for each in posts.composed(sizes.bulk))
        reporters = _Reporters(place, rate)
        calm, beside, import_seconds = _phases(reporters, file, sizes.live_seconds)
    part = "live"
    p95 = {name: percentile(waits, 0.95) for name, waits in (("calm", calm), ("beside", beside))}
    what, n = f"live report at {rate:.0f}/s: accepted to case seen", len(calm)
    return Measured(
        [
            Row(
                part,
                f"{what}, p50",
                n,
                percentile(calm, 0.5),
                "s",
                None,
                0.5,
            ),
            Row(part, f"{what}, p95", n, p95["calm"], "s", None, 1.5),
            Row(part, f"the same beside an import of {sizes.bulk:,}, p95", len(beside), p95["beside"], "s"),
            Row(part, "how far the import moves the p95", len(beside), p95["beside"] - p95["calm"], "s", None, 1.0),
            Row(part, "live reports refused or failed", len(calm) + len(beside), reporters.errors, "", None, 0),
            Row(part, "`triage import`, beside live reports, posts/s", sizes.bulk, sizes.bulk / import_seconds, ""),
        ],
        {"live": [{"calm": sorted(calm), "beside": sorted(beside)}]},
    )


def _phases(reporters: _Reporters, file: Path, seconds: float) -> tuple[list[float], list[float], float]:
    """Waits before the import, waits from its beginning on, and how long the import took."""
    threads = [threading.Thread(target=work) for work in (reporters.send, reporters.watch)]
    for thread in threads:
        thread.start()
    try:
        reporters.go_on(seconds, _FEWEST)
        calm, began = len(reporters.waits), time.monotonic()
        load = reporters.place.start("import", str(file), "--partner", "Chirper")
        status = load.popen.wait()
        took = time.monotonic() - began
        assert status == 0, load.log.read_text(encoding="utf-8")[-2000:]
        reporters.go_on(max(0.0, seconds - took), calm + _FEWEST)
    finally:
        reporters.over.set()
        for thread in threads:
            thread.join()
    return reporters.waits[:calm], reporters.waits[calm:], took
