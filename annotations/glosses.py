"""What a term in this post may mean, by the readers who know it or doubt it.

Readings stand side by side: nobody's is changed or deleted, and a disputed one is shown as disputed.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from annotations import review
from triage import accounts, audit
from triage.audit import Entry
from triage.db import Gloss, Post, User
from triage.domain import copies
from triage.domain.desk import Confidence
from triage.domain.errors import Conflict, InvalidInput
from triage.domain.words import Operation

LONGEST_TERM = 80
LONGEST_READING = 300
MOST_ALTERNATIVES = 5
#: A case that many have written readings for; more would hide them.
MOST_READINGS = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """A term as it stands in the post, what the reader takes it to mean, and what else it may mean."""

    term: str
    reading: str
    alternatives: Sequence[str]
    confidence: Confidence
    disputes: uuid.UUID | None = None


def add_reading(session: Session, user: User, case_id: uuid.UUID, reading: Reading, *, now: datetime) -> Gloss:
    """Add a reading of a term of this post, with the event.

    Raises:
        LeaseLost: somebody else holds the case by now.
        Conflict: the user has not judged the post yet, or there are too many readings.
        InvalidInput: a part is missing or too long, the term is not in the post, or the disputed reading is not of
            this case or is the user's own.
    """
    case = review.held_case(session, user, case_id, now)
    if review.first_judgement(session, user, case_id) is None:
        raise Conflict("Judge the post first: readings come after your own view of it")
    _check(reading)
    text = session.scalar(select(Post.text).where(Post.id == case.post_id)) or ""
    if copies.same_words(reading.term) not in copies.same_words(text):
        raise InvalidInput("Write the term as it stands in the post", field="term")
    earlier = {row.id: row for row in session.scalars(select(Gloss).where(Gloss.case_id == case_id))}
    if len(earlier) >= MOST_READINGS:
        raise Conflict("There are too many readings for this post already")
    if reading.disputes is not None:
        disputed = earlier.get(reading.disputes)
        if disputed is None or disputed.user_id == user.id:
            raise InvalidInput("Choose a reading of somebody else to disagree with", field="disputes")
    gloss = Gloss(
        case_id=case_id,
        user_id=user.id,
        term=reading.term,
        reading=reading.reading,
        alternatives=list(reading.alternatives),
        confidence=str(reading.confidence),
        disputes_id=reading.disputes,
    )
    session.add(gloss)
    session.flush()
    data = {"confidence": str(reading.confidence), "disputes": str(reading.disputes) if reading.disputes else None}
    entry = Entry(Operation.ALTERATION, "gloss.added", "gloss", str(gloss.id), case_id=case_id, data=data)
    audit.record(session, accounts.actor_of(user), entry)
    return gloss


def _check(reading: Reading) -> None:
    for field, value, longest in (
        ("term", reading.term, LONGEST_TERM),
        ("reading", reading.reading, LONGEST_READING),
    ):
        if not value.strip():
            raise InvalidInput("Write the term" if field == "term" else "Write what it means here", field=field)
        if len(value) > longest:
            raise InvalidInput(f"Use at most {longest} characters", field=field)
    if len(reading.alternatives) > MOST_ALTERNATIVES or any(len(a) > LONGEST_READING for a in reading.alternatives):
        raise InvalidInput(
            f"Give at most {MOST_ALTERNATIVES} other meanings, of {LONGEST_READING} characters at most",
            field="alternatives",
        )
