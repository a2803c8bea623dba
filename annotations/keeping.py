"""From whom a case is kept: while somebody put it on hold, or while it was given to somebody else."""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, or_

from triage.db import Case, User
from triage.domain.errors import Conflict


def check_free(case: Case, user: User, *, now: datetime) -> None:
    """Raises Conflict when the case is kept for somebody else or on hold. A threat to life is kept from nobody."""
    if case.band == 0:
        return
    if case.assigned_user_id not in (None, user.id) and case.assigned_until and case.assigned_until >= now:
        raise Conflict(f"This case is kept for somebody else until {_clock(case.assigned_until)}")
    if case.hold_until and case.hold_until >= now and case.hold_user_id != user.id:
        raise Conflict(f"This case is on hold until {_clock(case.hold_until)}")


def free_for(user: User, *, now: datetime) -> ColumnElement[bool]:
    """The same for a query, but for a case that the user put on hold: it is not offered, it can be asked for."""
    unassigned = or_(Case.assigned_user_id.is_(None), Case.assigned_user_id == user.id, Case.assigned_until < now)
    return or_(Case.band == 0, and_(unassigned, or_(Case.hold_until.is_(None), Case.hold_until < now)))


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M} UTC"
