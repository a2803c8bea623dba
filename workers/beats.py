"""Signs of life: each worker says that it lives and since when it has been busy with one batch.

A thread beats every few seconds, so a stopped or dead process falls silent; ``busy_since`` is set by the
working thread itself, so a process that lives but hangs in one batch shows too. A second thread, which needs
no database, ends a process that hangs.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, aliased

from triage import attendance, tallies
from triage.db import WorkerBeat
from triage.db.session import transaction
from triage.settings import current

BEAT_SECONDS = 5
SILENT_AFTER = attendance.SILENT_AFTER
#: A worker silent for this long is forgotten.
FORGOTTEN_AFTER = timedelta(days=1)
#: Exit status of a worker that found itself hung.
HUNG = 75

_WATCH_SECONDS = 1

logger = logging.getLogger(__name__)
_busy_since: datetime | None = None
_busy_from: float | None = None  # the same in seconds of time.monotonic(), which no clock that is set can move


@contextmanager
def busy() -> Iterator[None]:
    """Mark the working thread busy with one batch."""
    global _busy_since, _busy_from
    _busy_since, _busy_from = datetime.now(UTC), time.monotonic()
    try:
        yield
    finally:
        _busy_since = _busy_from = None


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
                tallies.flush()
            except SQLAlchemyError as error:  # the database is away; the supervisor must not kill us for that
                logger.warning("no beat", extra={"reason": type(error).__name__})
            if stop.wait(BEAT_SECONDS):
                return

    def watch() -> None:  # apart from the beat, which a database that neither answers nor refuses can block
        while not stop.wait(_WATCH_SECONDS):
            _end_if_hung()

    threads = [threading.Thread(target=work, name=work.__name__, daemon=True) for work in (beat, watch)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=BEAT_SECONDS)
        _take_away(name)


def _take_away(name: str) -> None:
    try:
        tallies.flush()
        with transaction() as session:
            session.execute(delete(WorkerBeat).where(*_of(name, os.getpid())))
    except SQLAlchemyError as error:  # what was done is done; the beat is forgotten in time
        logger.warning("beat not taken away", extra={"reason": type(error).__name__})


def _of(name: str, pid: int) -> tuple[ColumnElement[bool], ...]:
    """The beat of a process of this host."""
    return WorkerBeat.name == name, WorkerBeat.host == socket.gethostname(), WorkerBeat.pid == pid


def _end_if_hung() -> None:
    """End this process if one batch takes too long: where no supervisor of ours watches, the container's restarts it.

    The batch's lease runs out and another worker takes it. A hang that keeps even this thread from running
    is seen by the supervisor, from the beats that stop.
    """
    since = _busy_from
    if since is not None and time.monotonic() - since > current().hung_after_seconds:
        logger.error("hung in one batch; ending", extra={"seconds": current().hung_after_seconds})
        os._exit(HUNG)


def _write(session: Session, name: str, lane: str, started: datetime) -> None:
    values = {
        "lane": lane,
        "started_at": started,
        "beat_at": datetime.now(UTC),
        "busy_since": _busy_since,
    }
    session.execute(
        insert(WorkerBeat)
        .values(name=name, host=socket.gethostname(), pid=os.getpid(), **values)
        .on_conflict_do_update(
            index_elements=[WorkerBeat.name, WorkerBeat.host, WorkerBeat.pid],
            set_=values | {"seen_at": func.clock_timestamp()},
        )
    )


def is_hung(session: Session, name: str, pid: int, *, now: datetime) -> bool:
    """Whether process ``pid`` of this host, working as ``name``, has been busy for too long or has fallen silent.

    A process that has not beaten yet is not hung: it is loading its model.
    """
    beat = session.scalar(select(WorkerBeat).where(*_of(name, pid)))
    return beat is not None and hangs(beat, now=now)


def hangs(beat: WorkerBeat, *, now: datetime) -> bool:
    """Whether a beat is that of a worker busy with one batch for too long, or silent for that long."""
    limit = timedelta(seconds=current().hung_after_seconds)
    too_busy = beat.busy_since is not None and now - beat.busy_since > limit
    return too_busy or now - beat.beat_at > max(SILENT_AFTER, limit)


def in_service(session: Session) -> Sequence[WorkerBeat]:
    """Beats in order of name, without those of killed workers that another of the same name has replaced."""
    successor = aliased(WorkerBeat)
    replaced = exists().where(successor.name == WorkerBeat.name, successor.started_at > WorkerBeat.beat_at)
    return session.scalars(
        select(WorkerBeat).where(~replaced).order_by(WorkerBeat.name, WorkerBeat.host, WorkerBeat.pid)
    ).all()


def forget(session: Session, *, now: datetime) -> int:
    """Drop the beats of workers that were killed and never came back; returns how many."""
    gone = session.execute(
        delete(WorkerBeat).where(WorkerBeat.beat_at < now - FORGOTTEN_AFTER).returning(WorkerBeat.pid)
    )
    return len(gone.all())
