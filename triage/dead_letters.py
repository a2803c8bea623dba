"""What was given up, why and how often; and trying it again.

A post that no worker could score, or a URL that could not be captured: the case itself went to a person, marked "not
assessed". To try it again is to want the work anew. What comes of it changes the same case, and no decision about it.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage import audit, queue
from triage.audit import Actor, Entry
from triage.db import Capture, Case, DeadLetter, Post
from triage.domain.errors import Conflict, NotFound
from triage.domain.words import CaptureStatus, Operation, ScoringStatus, Work
from triage.queue import Bell

#: The most that one "try all again" takes, so that its transaction stays short.
AT_ONCE = 1000
_OPEN = DeadLetter.retried_at.is_(None)
#: A post whose worker still holds it, or which waits for its turn, needs no second wish for scores.
_SETTLED = (ScoringStatus.FAILED.value, ScoringStatus.DONE.value)


@dataclass(frozen=True, slots=True)
class Letter:
    """One line of the list. ``attempts`` before it was last given up, ``times`` it was given up."""

    id: uuid.UUID
    work: Work
    reason: str
    attempts: int
    times: int
    given_up_at: datetime
    case_number: int
    case_status: str


def add(session: Session, work: Work, object_id: uuid.UUID, *, reason: str, attempts: int, now: datetime) -> None:
    """Put a piece of work on the list, or back on it. The caller opens its case in the same transaction."""
    values = {"reason": reason, "attempts": attempts, "given_up_at": now}
    session.execute(
        upsert(DeadLetter)
        .values(object_type=str(work), object_id=object_id, **values)
        .on_conflict_do_update(
            index_elements=[DeadLetter.object_type, DeadLetter.object_id],
            set_=values | {"times": DeadLetter.times + 1, "retried_at": None},
        )
    )


def count(session: Session) -> int:
    """How much is on the list."""
    return session.scalar(select(func.count()).select_from(DeadLetter).where(_OPEN)) or 0


def listed(session: Session, *, limit: int, offset: int = 0) -> list[Letter]:
    """The list, newest first. Nothing of the post is in it."""
    rows = session.execute(
        select(DeadLetter, Case.number, Case.status)
        .outerjoin(Capture, and_(DeadLetter.object_type == Work.CAPTURE.value, Capture.id == DeadLetter.object_id))
        .join(Case, Case.post_id == func.coalesce(Capture.post_id, DeadLetter.object_id))
        .where(_OPEN)
        .order_by(DeadLetter.given_up_at.desc(), DeadLetter.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [
        Letter(row.id, Work(row.object_type), row.reason, row.attempts, row.times, row.given_up_at, number, status)
        for row, number, status in rows
    ]


def retry(session: Session, actor: Actor, letter_id: uuid.UUID, *, now: datetime) -> None:
    """Want a piece of work anew: it is done as if it had just come in, and leaves the list until it is given up again.

    Raises:
        NotFound: there is no such line.
        Conflict: it is being tried again already.
    """
    letter = session.scalar(select(DeadLetter).where(DeadLetter.id == letter_id).with_for_update())
    if letter is None:
        raise NotFound("There is no such line on the list of what was given up")
    if letter.retried_at is not None:
        raise Conflict("This is being tried again already")
    _retry(session, actor, letter, now)


def retry_all(session: Session, actor: Actor, *, now: datetime) -> int:
    """The same for the ``AT_ONCE`` that were given up first, before ``now``; returns how many.

    Lines that somebody holds are skipped. Called again and again with one ``now``, it comes to an end: what fails
    once more was given up later.
    """
    letters = session.scalars(
        select(DeadLetter)
        .where(_OPEN, DeadLetter.given_up_at <= now)
        .order_by(DeadLetter.given_up_at, DeadLetter.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for letter in letters:
        _retry(session, actor, letter, now)
    return len(letters)


def _retry(session: Session, actor: Actor, letter: DeadLetter, now: datetime) -> None:
    letter.retried_at = now
    if letter.object_type == Work.CAPTURE.value:
        post_id = _want_capture(session, letter.object_id)
    else:
        post_id = _want_scores(session, letter.object_id)
    audit.record(
        session,
        actor,
        Entry(
            Operation.ALTERATION,
            f"{letter.object_type}.retried",
            letter.object_type,
            str(letter.object_id),
            case_id=session.scalar(select(Case.id).where(Case.post_id == post_id)),
            data={"reason": letter.reason, "attempts": letter.attempts, "times": letter.times},
        ),
    )


def _want_scores(session: Session, post_id: uuid.UUID) -> uuid.UUID:
    lane = session.scalar(
        update(Post)
        .where(Post.id == post_id, Post.scoring.in_(_SETTLED))
        .values(scoring=str(ScoringStatus.WANTED), scoring_attempts=0, scoring_lease=None, scoring_lease_until=None)
        .returning(Post.lane)
    )
    if lane is not None:
        queue.ring_after_commit(session, Bell(lane))
    return post_id


def _want_capture(session: Session, capture_id: uuid.UUID) -> uuid.UUID:
    """Fetch the URL again. Its post, which went on without text, waits for the text now, whoever holds it."""
    capture = session.scalars(select(Capture).where(Capture.id == capture_id).with_for_update()).one()
    if capture.status == CaptureStatus.FAILED.value:
        capture.status, capture.attempts = str(CaptureStatus.WANTED), 0
        capture.failure = capture.lease = capture.lease_until = capture.not_before = None
        session.execute(
            update(Post)
            .where(Post.id == capture.post_id)
            .values(
                scoring=str(ScoringStatus.NO_TEXT), scoring_attempts=0, scoring_lease=None, scoring_lease_until=None
            )
        )
        queue.ring_after_commit(session, Bell.CAPTURE)
    return capture.post_id
