"""RQ's default worker, which forks for each job. The model is loaded before, on one thread, which survives a fork."""

import sys

from redis import Redis
from rq import Queue, Worker

from triage.settings import current
from workers import jobs
from workers.bench.alternatives import QUEUE, READY


def main() -> None:
    """Work until told to stop."""
    url = current().redis_url
    assert url is not None
    jobs.pipeline()
    connection = Redis.from_url(url)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    worker = Worker([queue], connection=connection, serializer="json", log_job_description=False)
    print(READY, flush=True)  # noqa: T201 -- the benchmark waits for it
    sys.exit(0 if worker.work(logging_level="WARNING") else 1)


if __name__ == "__main__":
    main()
