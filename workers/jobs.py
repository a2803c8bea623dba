"""RQ jobs. A job is a doorbell: it carries a lane's name, answers it, and drains the work in PostgreSQL.

Running a job twice, or never, changes nothing: what is to be done stands in the database, is claimed under
a lease, and is recorded only by whoever still holds it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from rq import get_current_job

from triage import assessment, audit, log, metrics, queue, tracing
from triage import capture as captures
from triage.assessment import Claimed
from triage.db.session import transaction
from triage.domain.scores import NotAssessed, Scores
from triage.domain.words import Lane
from triage.queue import Bell
from triage.settings import current
from workers import beats
from workers.batches import Batch

if TYPE_CHECKING:
    from classifiers.pipeline import Pipeline

logger = logging.getLogger(__name__)

#: A text that every working model can read: asked only when it failed on a whole batch.
_PLAIN = "See you at the station at noon, I will bring the sandwiches."
#: After this many seconds a drain rings again and returns, so that a stop or a signal is never far away.
_SLICE_SECONDS = 2.0


@lru_cache(maxsize=1)
def pipeline() -> "Pipeline":
    """The classifiers of this process, loaded once; the capture worker never does."""
    from classifiers.pipeline import Pipeline  # noqa: PLC0415 -- slow import

    return Pipeline.load(threads=current().torch_threads, device=current().device)


class JobFailed(Exception):
    """What RQ is told of a job that failed: the kind of error and no more."""


@contextmanager
def wordless() -> Iterator[None]:
    """The edge of a job: its lines carry its id.

    RQ keeps a failed job's traceback in Redis, and a database error may quote a post.
    """
    job = get_current_job()
    with log.about(job=job.id) if job is not None else nullcontext():
        try:
            yield
        except Exception as error:
            logger.error("job failed", exc_info=error)
            raise JobFailed(type(error).__name__) from None


class ModelFails(Exception):
    """The model fails on every text. What it failed on was put off."""


@wordless()
def classify(lane_name: str) -> None:
    """Score what waits in a lane, in batches, until nothing is left or the time slice is over.

    While the model fails on everything one batch is tried for each ring of the sweep, once a second, and not one
    after another: the posts behind it keep their attempts for when it works again.
    """
    lane = Lane(lane_name)
    bell = Bell(lane_name)
    queue.answer(bell)  # first: whatever arrives from now on rings again
    until = time.monotonic() + _SLICE_SECONDS
    while time.monotonic() < until:
        try:
            fresh = _classify_some(lane, limit=current().batch_size, retry=False)
            retried = _classify_some(lane, limit=1, retry=True)
        except ModelFails:
            logger.error("the model fails on every text", extra={"lane": lane_name})
            return
        if fresh + retried == 0:
            return
    queue.ring(bell)


def _classify_some(lane: Lane, *, limit: int, retry: bool) -> int:
    settings, began = current(), time.time()
    with transaction() as session:
        claims = assessment.claim_posts(
            session, lane, limit=limit, lease_seconds=settings.scoring_lease_seconds, retry=retry
        )
        batch = Batch(lane, claims, retry, began)
        batch.find_traces(session)
    if not claims:
        return 0
    counts: tracing.Attributes = {"triage.lane": str(lane), "triage.posts": len(claims)}
    with beats.busy(), tracing.span("batch", counts, links=batch.traces):
        scored = _read(batch)
        failed = [claim for claim, scores in scored if scores.not_assessed is NotAssessed.MODEL_FAILED]
        done = [one for one in scored if one[1].not_assessed is not NotAssessed.MODEL_FAILED]
        version, now = pipeline().version, datetime.now(UTC)
        actor = audit.system(f"pipeline {version}")
        fails = bool(failed) and not done and not _works(pipeline())
        with tracing.span("record"), transaction() as session:
            assessment.record_scores(session, actor, done, pipeline_version=version, now=now)
            given_up = assessment.record_failures(session, actor, failed, try_again=fails, now=now)
        batch.done(done if fails else scored, put_off=len(failed) - given_up if fails else 0)
    if fails:
        raise ModelFails
    return len(claims)


def _read(batch: Batch) -> list[tuple[Claimed, Scores]]:
    with tracing.span("model", {"triage.pipeline": pipeline().version}):
        began = time.perf_counter()
        scored = score_each(pipeline(), batch.claims)
        batch.in_model = time.perf_counter() - began
    return scored


def _works(scorer: "Pipeline") -> bool:
    try:
        return scorer.score([_PLAIN])[0].not_assessed is not NotAssessed.MODEL_FAILED
    except Exception as error:  # noqa: BLE001 -- any failure of a model is an answer here
        logger.error("the model failed on a plain text", extra={"reason": type(error).__name__})
        return False


def score_each(scorer: "Pipeline", claims: Sequence[Claimed]) -> list[tuple[Claimed, Scores]]:
    """Score a batch; if it fails, halve it until the post that poisons it stands alone, not assessed."""
    try:
        return list(zip(claims, scorer.score([claim.text for claim in claims]), strict=True))
    except Exception as error:  # noqa: BLE001 -- any failure of a model must leave the post to a person
        if len(claims) == 1:
            logger.error("post not assessed", extra={"post": str(claims[0].post_id), "reason": type(error).__name__})
            return [(claims[0], Scores(not_assessed=NotAssessed.MODEL_FAILED))]
        middle = len(claims) // 2
        return score_each(scorer, claims[:middle]) + score_each(scorer, claims[middle:])


@wordless()
def capture(bell_name: str) -> None:
    """Fetch the URLs that wait, one after another, until none is left or the time slice is over."""
    bell = Bell(bell_name)
    queue.answer(bell)
    until = time.monotonic() + _SLICE_SECONDS
    while time.monotonic() < until:
        began = time.perf_counter()
        with beats.busy():
            if not captures.capture_next(now=datetime.now(UTC)):
                return
        metrics.capture_seconds.observe(time.perf_counter() - began)
    queue.ring(bell)
