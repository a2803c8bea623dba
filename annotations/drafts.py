"""What somebody has typed and not sent yet, kept by the server until it is sent.

A draft is no act: it is in no event and no log, nobody else ever sees it, and it is gone with the decision.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from annotations import review
from triage.db import Case, Draft, User
from triage.domain.errors import TooLarge
from triage.domain.lifecycle import CaseStatus
from triage.domain.words import Stage

#: Characters over all fields: several times what a full referral takes.
LARGEST = 100_000
_NOT_KEPT = frozenset({"csrf_token"})


def save(
    session: Session, user: User, case_id: uuid.UUID, typed: Mapping[str, Sequence[str]], *, now: datetime
) -> bool:
    """Keep what is typed; it replaces what was kept before. Returns whether it was kept: not what belongs to a form
    that the reader has sent meanwhile.

    Raises:
        LeaseLost: somebody else holds the case by now.
        TooLarge: it is more than anybody types.
    """
    review.held_case(session, user, case_id, now)
    fields = {name: list(values) for name, values in typed.items() if name not in _NOT_KEPT and any(values)}
    if sum(len(name) + sum(map(len, values)) for name, values in fields.items()) > LARGEST:
        raise TooLarge("This is too long to be kept as a draft")
    stage = Stage.FIRST if review.first_judgement(session, user, case_id) is None else Stage.FINAL
    if fields.pop("stage", [str(stage)]) != [str(stage)]:
        return False
    row = {"stage": str(stage), "fields": fields, "saved_at": now}
    store = upsert(Draft).values(user_id=user.id, case_id=case_id, **row)
    session.execute(store.on_conflict_do_update(index_elements=[Draft.user_id, Draft.case_id], set_=row))
    return True


def discard(session: Session, user: User, case_id: uuid.UUID) -> None:
    """The reader sent it, or passed the case."""
    session.execute(delete(Draft).where(Draft.case_id == case_id, Draft.user_id == user.id))


def discard_all(session: Session, case_id: uuid.UUID) -> None:
    """The case is decided: nobody's draft of it is of use any more."""
    session.execute(delete(Draft).where(Draft.case_id == case_id))


def forget_stray(session: Session) -> int:
    """Drop drafts of cases that are no longer open, however they were closed; returns how many."""
    closed = select(Case.id).where(Case.id == Draft.case_id, Case.status != CaseStatus.OPEN.value)
    return len(session.scalars(delete(Draft).where(closed.exists()).returning(Draft.case_id)).all())
