"""Celery's prefork worker with one process, which loads the model once and keeps it."""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from celery.signals import worker_process_init

from triage.settings import current
from workers import jobs
from workers.bench.alternatives import JOB, READY
from workers.bench.job_per_post import score_one


@contextmanager
def app_on(redis_url: str) -> Iterator[Celery]:
    """The application with a Redis as its broker."""
    app = Celery("bench", broker=redis_url.replace("unix://", "redis+socket://"), set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=600,  # seconds; loading the model takes longer than the default allows
        broker_connection_retry_on_startup=True,
    )
    try:
        yield app
    finally:
        app.close()


def main() -> None:
    """Work until told to stop."""
    url = current().redis_url
    assert url is not None

    def load(**_: object) -> None:
        jobs.pipeline()
        print(READY, flush=True)  # noqa: T201 -- the benchmark waits for it

    worker_process_init.connect(load, weak=False)
    with app_on(url) as app:
        app.task(name=JOB)(score_one)
        app.worker_main(["worker", "--pool=prefork", "--concurrency=1", "--loglevel=WARNING"])


if __name__ == "__main__":
    main()
