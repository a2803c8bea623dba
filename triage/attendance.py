"""Whether anybody scores: signs of life by lane, and what to do about a lane where nobody is.

All times are the database's: workers, web and schedule may be on hosts whose clocks differ.
"""

from datetime import timedelta

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from triage import backlog
from triage.db import Case, Post, WorkerBeat
from triage.domain.lifecycle import CaseStatus
from triage.domain.words import Lane, ScoringStatus

#: A worker silent for this long is gone or stopped.
SILENT_AFTER = timedelta(seconds=30)
#: So many cases are opened without scores in one transaction, and so many of the bulk lane may lie in the queue at
#: once: an import whose workers are gone must not bury what else is there. More follow as people take these.
AT_ONCE = 100
MOST_OF_BULK = 500

# Written into the statement: the planner uses a partial index only where it can read the index's condition.
_WANTED = Post.scoring == literal(ScoringStatus.WANTED.value, literal_execute=True)


def without_worker(session: Session) -> dict[Lane, timedelta]:
    """Lanes where posts wait for scores and no worker gives a sign of life; how long the oldest post has waited."""
    seen = select(WorkerBeat.lane).where(WorkerBeat.seen_at > func.now() - SILENT_AFTER).distinct()
    attended = set(session.scalars(seen))
    lost: dict[Lane, timedelta] = {}
    for lane in Lane:
        if lane.value not in attended and (since := backlog.waiting_since(session, lane)) is not None:
            now = session.scalar(select(func.now())) or since
            lost[lane] = max(timedelta(0), now - since)
    return lost


def room_for_unassessed(session: Session, lane: Lane) -> int:
    """How many more cases of a lane without a worker may be opened now for people to read without scores."""
    if lane is not Lane.BULK:
        return AT_ONCE
    some = (
        select(Post.id)
        .join(Case, Case.post_id == Post.id)
        .where(_WANTED, Post.lane.between(lane.value, lane.value), Case.status == CaseStatus.OPEN.value)
        .limit(MOST_OF_BULK)
        .subquery()
    )
    there = session.scalar(select(func.count()).select_from(some)) or 0
    return min(AT_ONCE, MOST_OF_BULK - there)
