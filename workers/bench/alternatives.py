"""The obvious designs, beside ours: one RQ job for each post on the default forking worker, and the same on Celery.

Both do what ours does with one post: read it, score it with the same model on one thread, store scores and events and
open its case, in one transaction. The model is loaded before the first job, and each process keeps it.
"""

import importlib.util
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from rq import Queue

from workers.bench import flow
from workers.bench.rows import Measured, Row
from workers.bench.site import Place, Process, Site
from workers.bench.sizes import Sizes

JOB = "workers.bench.job_per_post.score_one"
QUEUE = "bench-one-by-one"
READY = "one by one: ready"
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Design:
    """How jobs get to a worker."""

    title: str
    module: str

    def send(self, place: Place, posts: Sequence[uuid.UUID]) -> None:
        if self.module.endswith("rq_worker"):
            connection = Redis.from_url(place.redis_url)
            queue = Queue(QUEUE, connection=connection, serializer="json")
            queue.enqueue_many([Queue.prepare_data(JOB, (str(post),), result_ttl=0) for post in posts])
            connection.close()
            return
        from workers.bench.celery_worker import app_on  # noqa: PLC0415 -- optional dependency

        with app_on(place.redis_url) as app:
            for post in posts:
                app.send_task(JOB, (str(post),))


def alternatives(site: Site, sizes: Sizes) -> Measured:
    """Posts a second of each, one worker of one thread, with the posts there before the first job is sent."""
    part, n = "alternatives", sizes.naive
    designs = [_Design("one RQ job a post, default forking worker", "workers.bench.rq_worker")]
    notes = []
    if importlib.util.find_spec("celery"):
        designs.append(_Design("one Celery task a post, prefork", "workers.bench.celery_worker"))
    else:
        notes.append("Celery is not installed (it is a development dependency): left out")
    rates = {design.title: _rate(site, design, n) for design in designs}
    with site.place("ours") as place:
        place.start_web()
        place.start("schedule")
        ours = flow.drain(place, place.start_workers("bulk", 1), flow.reports(max(n, sizes.swept))).posts_per_second
    rows = [Row(part, "ours, one worker of 1 thread, posts/s", max(n, sizes.swept), ours, "")]
    rows += [Row(part, f"{title}, posts/s", n, rate, "") for title, rate in rates.items()]
    rows += [Row(part, f"ours against: {title}", n, ours / rate, "times") for title, rate in rates.items()]
    points: list[dict[str, Any]] = [{"what": "ours", "posts_per_second": ours}]
    points += [{"what": title, "posts_per_second": rate} for title, rate in rates.items()]
    return Measured(rows, {"alternatives": points}, notes)


def _rate(site: Site, design: _Design, count: int) -> float:
    with site.place("naive") as place:
        web = place.start_web()
        flow.send(place, flow.reports(count))
        place.stop(web)
        worker = place.run(design.module, "bench")
        worker.await_line(READY)
        began = time.monotonic()
        design.send(place, place.posts())
        _await_all(place, worker)
        return count / (time.monotonic() - began)


def _await_all(place: Place, worker: Process) -> None:
    while place.value(flow.WAITS):
        worker.require_life(time.monotonic() + 1)
        time.sleep(_LOOK_SECONDS)
