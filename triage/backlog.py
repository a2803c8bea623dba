"""How much waits for scores, and the point past which bulk intake waits too.

Single reports and urgent ones are always accepted: this holds back only what can be sent again later.
"""

import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from triage.db import Capture, Post
from triage.domain.errors import BacklogFull
from triage.domain.words import Lane, ScoringStatus
from triage.settings import current

#: A measurement is good for a second, and for longer where it was slow: never more than a 20th of a process's time.
_GOOD_FOR_SECONDS = 1.0
_TIMES_ITS_COST = 20
#: Seconds after which to send again; scattered, so that those who were refused do not all come back at once.
_RETRY_SECONDS = (30, 90)

# Written into the statement: the planner uses a partial index only where it can read the index's condition.
_WANTED = Post.scoring == literal(ScoringStatus.WANTED.value, literal_execute=True)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Posts of all lanes that want scores, counted no further than one past the limit, and the oldest bulk one."""

    posts: int
    oldest_since: datetime | None


class _Last:
    """The last measurement of this process. A batch more or less past the limit does no harm."""

    taken = threading.Lock()
    found: Backlog | None = None
    until = 0.0  # seconds of time.monotonic()


def forget_measurement() -> None:
    """Measure at the next question, however new the last answer is."""
    _Last.found, _Last.until = None, 0.0


def check_room(session: Session, *, now: datetime) -> None:
    """Let bulk intake go on, or not.

    Raises:
        BacklogFull: too many posts wait for scores, or a post of the bulk lane waits for too long.
    """
    why = too_much(_measured(session, limit=current().backlog_limit), now=now)
    if why is not None:
        first, last = _RETRY_SECONDS
        raise BacklogFull(why, retry_after=first + secrets.randbelow(last - first + 1))


def too_much(backlog: Backlog, *, now: datetime) -> str | None:
    """Why bulk intake has to wait, in words; ``None`` where it need not."""
    settings = current()
    if backlog.posts > settings.backlog_limit:
        return f"More than {settings.backlog_limit:,} posts wait for scores"
    longest = timedelta(minutes=settings.backlog_age_minutes)
    if backlog.oldest_since is not None and now - backlog.oldest_since > longest:
        return f"Posts have waited for scores for more than {settings.backlog_age_minutes:,} minutes"
    return None


def _measured(session: Session, *, limit: int) -> Backlog:
    if _Last.found is not None and time.monotonic() < _Last.until:
        return _Last.found
    if not _Last.taken.acquire(blocking=_Last.found is None):
        return _Last.found or measure(session, limit=limit)  # another thread measures; its last answer will do
    try:
        if _Last.found is None or time.monotonic() >= _Last.until:  # nobody measured while we waited for our turn
            began = time.monotonic()
            _Last.found = measure(session, limit=limit)
            cost = time.monotonic() - began
            _Last.until = time.monotonic() + max(_GOOD_FOR_SECONDS, _TIMES_ITS_COST * cost)
        return _Last.found
    finally:
        _Last.taken.release()


def measure(session: Session, *, limit: int) -> Backlog:
    """Count what waits, no further than ``limit`` + 1: the cost does not grow with the table or with the backlog."""
    some = select(Post.lane).where(_WANTED).order_by(Post.lane, Post.id).limit(limit + 1).subquery()
    posts = session.scalar(select(func.count()).select_from(some)) or 0
    return Backlog(posts, waiting_since(session, Lane.BULK))


def waiting_since(session: Session, lane: Lane) -> datetime | None:
    """Since when the oldest post of a lane has waited for its scores; ``None`` where none waits.

    A URL has waited since it was captured.
    """
    # A range of one lane: an equal one would leave the order to the primary key, past all that was ever scored.
    waiting = select(Post.id).where(_WANTED, Post.lane.between(lane.value, lane.value))
    oldest = waiting.order_by(Post.lane, Post.id).limit(1).scalar_subquery()
    return session.scalar(
        select(func.coalesce(Capture.captured_at, Post.created_at))
        .select_from(Post)
        .outerjoin(Capture, Capture.post_id == Post.id)
        .where(Post.id == oldest)
    )
