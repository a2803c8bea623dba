"""One worker process: one bell, one RQ queue, the model loaded once before the first job.

``SimpleWorker`` works in this process, without a fork: a forked child would hang on torch's threads or load
the model for each job. What RQ then lacks, a hard stop for a job that hangs, the supervisor gives
(docs/decisions/0002-rq.md).
"""

import logging

from rq import SimpleWorker

from triage import queue
from triage.queue import Bell
from workers import beats, jobs

logger = logging.getLogger(__name__)


def run(bell: Bell, *, burst: bool = False, name: str | None = None) -> None:
    """Work until told to stop (or, with ``burst``, until nothing rings)."""
    if bell is not Bell.CAPTURE:
        loaded = jobs.pipeline()
        logger.info("pipeline loaded", extra={"pipeline": loaded.version, "lane": str(bell)})
    with beats.beating(name or f"worker-{bell}", str(bell)):
        queue.ring(bell)  # whatever waited while nobody worked
        waiting = queue.waiting_connection()
        worker = SimpleWorker(
            [queue.rq_queue(bell, waiting)],
            connection=waiting,
            serializer="json",
            log_job_description=False,
            maintenance_interval=60,
        )
        worker.work(burst=burst, logging_level="WARNING")
