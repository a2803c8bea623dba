"""Signs of life: each worker says that it lives and since when it has been busy with one batch.

A thread beats every few seconds, so a stopped or dead process falls silent; ``busy_since`` is set by the
working thread itself, so a process that lives but hangs in one batch shows too.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from triage.db import WorkerBeat
from triage.db.session import transaction
from triage.settings import current

BEAT_SECONDS = 5
#: A worker silent for this long is gone or stopped.
SILENT_AFTER = timedelta(seconds=6 * BEAT_SECONDS)
#: Exit status of a worker that found itself hung.
HUNG = 75

logger = logging.getLogger(__name__)
_busy_since: datetime | None = None


@contextmanager
def busy() -> Iterator[None]:
    """Mark the working thread busy with one batch."""
    global _busy_since
    _busy_since = datetime.now(UTC)
    try:
        yield
    finally:
        _busy_since = None


@contextmanager
def beating(name: str, lane: str) -> Iterator[None]:
    """Beat from a thread until the block ends, then take the sign of life away."""
    stop = threading.Event()
    started = datetime.now(UTC)

    def beat() -> None:
        while True:
            try:
                with transaction() as session:
                    _write(session, name, lane, started)
            except SQLAlchemyError as error:  # the database is away; the supervisor must not kill us for that
                logger.warning("no beat", extra={"reason": type(error).__name__})
            if stop.wait(BEAT_SECONDS):
                return
            _end_if_hung()

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=BEAT_SECONDS)
        with transaction() as session:
            session.execute(delete(WorkerBeat).where(WorkerBeat.name == name, WorkerBeat.pid == os.getpid()))


def _end_if_hung() -> None:
    """End this process if one batch takes too long: where no supervisor of ours watches, the container's restarts it.

    The batch's lease runs out and another worker takes it. A hang that keeps even this thread from running
    is seen by the supervisor, from the beats that stop.
    """
    since = _busy_since
    if since is not None and datetime.now(UTC) - since > timedelta(seconds=current().hung_after_seconds):
        logger.error("hung in one batch; ending", extra={"seconds": current().hung_after_seconds})
        os._exit(HUNG)


def _write(session: Session, name: str, lane: str, started: datetime) -> None:
    values = {
        "lane": lane,
        "pid": os.getpid(),
        "started_at": started,
        "beat_at": datetime.now(UTC),
        "busy_since": _busy_since,
    }
    session.execute(
        insert(WorkerBeat)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=[WorkerBeat.name], set_=values)
    )


def is_hung(session: Session, name: str, pid: int, *, now: datetime) -> bool:
    """Whether process ``pid``, working as ``name``, has been busy for too long or has fallen silent.

    A process that has not beaten yet is not hung: it is loading its model.
    """
    beat = session.scalar(select(WorkerBeat).where(WorkerBeat.name == name, WorkerBeat.pid == pid))
    if beat is None:
        return False
    limit = timedelta(seconds=current().hung_after_seconds)
    too_busy = beat.busy_since is not None and now - beat.busy_since > limit
    return too_busy or now - beat.beat_at > max(SILENT_AFTER, limit)
