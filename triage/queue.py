"""The doorbell: telling a worker that there is work in PostgreSQL.

Redis holds ids and doorbells only; losing it loses nothing. A lane is rung at most once until its worker
answers: the worker deletes the ``nudge`` key before it looks for work, so a later arrival rings again. When
Redis is away or hangs the ring is dropped, and so is every other for a few seconds, because requests wait for
it; the sweep (``workers.schedule``) rings later.
"""

import logging
import time
from enum import StrEnum
from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from sqlalchemy import event
from sqlalchemy.orm import Session

from triage import metrics, tracing
from triage.domain.errors import Unavailable
from triage.settings import current

#: A bell that nobody hears is rung again after so long: Redis took the nudge and lost the job, or hung between.
_NUDGE_SECONDS = 5
_JOB_TIMEOUT = 180
_FAILURE_TTL = 86_400
#: Longest wait for Redis, and how long the bell is left alone after it failed.
_PATIENCE_SECONDS = 1.0
_QUIET_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Bell(StrEnum):
    """One queue per worker process: three lanes of the classifiers, and capture."""

    URGENT = "urgent"
    LIVE = "live"
    BULK = "bulk"
    CAPTURE = "capture"


#: Jobs by name: this room never imports the top floor.
_JOB = {
    Bell.URGENT: "workers.jobs.classify",
    Bell.LIVE: "workers.jobs.classify",
    Bell.BULK: "workers.jobs.classify",
    Bell.CAPTURE: "workers.jobs.capture",
}


@lru_cache(maxsize=1)
def connection() -> "Redis":
    """The Redis of this process, for short commands: one that takes longer than a second fails.

    Raises:
        Unavailable: no Redis is configured.
    """
    # Once again after a connection that broke while it lay idle; never after a wait, which would double it.
    again = Retry(NoBackoff(), 1, supported_errors=(Disconnected,))
    return Redis.from_url(
        _url(), socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS, retry=again
    )


def waiting_connection() -> "Redis":
    """A connection of its own for a worker, which waits minutes for the next job; RQ sets its time limits.

    Raises:
        Unavailable: no Redis is configured.
    """
    return Redis.from_url(_url(), socket_connect_timeout=2)


def _url() -> str:
    url = current().redis_url
    if url is None:
        raise Unavailable("TRIAGE_REDIS_URL is not set; run this through `make up`, or point it at a Redis")
    return url


def rq_queue(bell: Bell, waiting: "Redis | None" = None) -> Queue:
    """The RQ queue behind a bell. JSON, so that nothing read from Redis is ever unpickled.

    Args:
        waiting: the connection of a worker that waits for jobs; nobody else needs one.
    """
    return Queue(f"triage-{bell}", connection=waiting or connection(), serializer="json", default_timeout=_JOB_TIMEOUT)


class _Quiet:
    """Until when the bell is left alone."""

    until = 0.0  # seconds of time.monotonic()


def forget_failure() -> None:
    """Ring again at once, whatever failed a moment ago."""
    _Quiet.until = 0.0


def ring(bell: Bell) -> bool:
    """Ring unless it is ringing already; returns whether Redis could be reached.

    For some seconds after a failure it is not tried, and the answer is no.
    """
    if time.monotonic() < _Quiet.until:
        return False
    try:
        if connection().set(_nudge(bell), 1, nx=True, ex=_NUDGE_SECONDS):
            rq_queue(bell).enqueue(
                _JOB[bell],
                str(bell),
                result_ttl=0,
                failure_ttl=_FAILURE_TTL,
                description=f"doorbell {bell}",
                job_timeout=_JOB_TIMEOUT,
            )
    except (RedisError, OSError) as error:
        _Quiet.until = time.monotonic() + _QUIET_SECONDS
        metrics.doorbell_failures.inc()
        logger.warning("doorbell not rung", extra={"bell": str(bell), "reason": type(error).__name__})
        return False
    return True


def answer(bell: Bell) -> None:
    """Stop the ringing. Called first by the worker, so that work which arrives from now on rings again."""
    connection().delete(_nudge(bell))


def ring_after_commit(session: Session, bell: Bell) -> None:
    """Ring once the caller's transaction is committed; a rollback rings nothing."""
    session.info.setdefault("bells", set()).add(bell)


def _nudge(bell: Bell) -> str:
    return f"triage:nudge:{bell}"


@event.listens_for(Session, "after_commit")
def _ring_all(session: Session) -> None:
    if session.in_nested_transaction():  # also fires when a savepoint is released; the outer may yet roll back
        return
    for bell in session.info.pop("bells", ()):
        with tracing.span("ring", {"triage.lane": str(bell)}):
            ring(bell)


@event.listens_for(Session, "after_rollback")
def _forget_bells(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop("bells", None)
