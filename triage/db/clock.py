"""The time as the database has it: one time for all hosts, whatever their own clocks say.

It is asked for every few seconds and counted on from there by a counter that nobody can set. So a clock of this host
that steps moves nothing, and one of the database that does is followed.
"""

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from triage.db.session import engine
from triage.domain.errors import Unavailable

_GOOD_FOR_SECONDS = 10.0


class _Measured:
    """The last measurement of this process: what the database said, and the counter at that moment."""

    turn = threading.Lock()
    last: tuple[datetime, float] | None = None
    until = 0.0  # seconds of time.monotonic()


def now() -> datetime:
    """The time, UTC. Where the database was never reached it is this host's: nothing can be done with it then."""
    if time.monotonic() >= _Measured.until and _Measured.turn.acquire(blocking=False):
        try:
            _Measured.until = time.monotonic() + _GOOD_FOR_SECONDS
            _Measured.last = _ask() or _Measured.last
        finally:
            _Measured.turn.release()
    if _Measured.last is None:
        return datetime.now(UTC)
    at, counter = _Measured.last
    return at + timedelta(seconds=time.monotonic() - counter)


def _ask() -> tuple[datetime, float] | None:
    began = time.monotonic()
    try:
        with engine().connect() as connection, closing(connection.connection.cursor()) as cursor:
            cursor.execute(
                "SELECT clock_timestamp()"
            )  # by the driver: no part of what a page asks, nor counted as such
            (at,) = cursor.fetchone() or (None,)
    except (psycopg.Error, SQLAlchemyError, Unavailable):
        return None
    return None if at is None else (at.astimezone(UTC), (began + time.monotonic()) / 2)


def forget() -> None:
    """Ask at the next question, however new the last answer is."""
    _Measured.last, _Measured.until = None, 0.0
