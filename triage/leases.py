"""Leases of reviewers that a clock has spoilt."""

from datetime import timedelta

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from triage.db import Case
from triage.domain.lifecycle import CaseStatus
from triage.settings import current


def shorten(session: Session) -> int:
    """End, in good time, leases that reach further ahead than any can; returns how many.

    They were given before the database's clock was put back: nobody else could take the case until the old time.
    """
    length = timedelta(minutes=current().lease_minutes)
    shortened = session.execute(
        update(Case)
        .where(
            Case.status == CaseStatus.OPEN.value,
            Case.lease_user_id.is_not(None),
            Case.lease_until > func.now() + 2 * length,
        )
        .values(lease_until=func.now() + length)
        .returning(Case.id)
    )
    return len(shortened.all())
