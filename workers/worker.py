"""One worker process: one bell, one RQ queue, the model loaded once before the first job.

``SimpleWorker`` works in this process, without a fork: a forked child would hang on torch's threads or load
the model for each job. What RQ then lacks, a hard stop for a job that hangs, the supervisor gives
(docs/decisions/0002-rq.md).
"""

import logging
import time
from contextlib import suppress

from redis.exceptions import RedisError
from rq import SimpleWorker

from triage import queue, tracing
from triage.domain.errors import Unavailable
from triage.domain.words import Lane
from triage.queue import Bell
from triage.settings import current
from workers import batches, beats, jobs

logger = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS = 10.0


class ModelUnusable(Unavailable):
    """The classifiers cannot be loaded; posts wait for a worker that can."""

    title = "The model cannot be used"


def run(bell: Bell, *, burst: bool = False, name: str | None = None) -> None:
    """Work until told to stop (or, with ``burst``, until nothing rings). Waits for Redis before it loads anything.

    Raises:
        ModelUnusable: a file of the model is missing, altered or does not fit.
    """
    _wait_for_redis()
    settings = current()
    tracing.start("worker")
    if settings.scoring_lease_seconds <= settings.hung_after_seconds:
        logger.warning("the scoring lease is not longer than a worker may be busy: posts may be scored twice")
    if bell is not Bell.CAPTURE:
        version = _load_pipeline()
        batches.say_what_runs(Lane(str(bell)), version)
        logger.info("pipeline loaded", extra={"pipeline": version, "lane": str(bell)})
    with beats.beating(name or f"worker-{bell}", str(bell)):
        with suppress(RedisError, OSError):
            queue.answer(bell)  # a worker that was killed may have left it ringing, and nobody rings twice
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


def _load_pipeline() -> str:
    """Load the classifiers; their version."""
    try:
        return jobs.pipeline().version
    except Exception as error:  # whoever notices says it differently: our own check, safetensors, torch
        raise ModelUnusable(f"The model cannot be used, so that this lane's posts wait: {error}") from error


def _wait_for_redis() -> None:
    wait = 0.5
    while (reason := _redis_is_away()) is not None:
        if wait == 0.5:  # said once, not at every try
            logger.warning("Redis is away; waiting for it", extra={"reason": reason})
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


def _redis_is_away() -> str | None:
    """Why Redis does not answer; ``None`` where it does."""
    try:
        queue.connection().ping()
    except (RedisError, OSError) as error:
        return type(error).__name__
    return None
