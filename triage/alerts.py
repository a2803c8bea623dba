"""Calls to the person on call about a threat to life (P0).

A call is a row, written in the transaction that opens the case, and delivered afterwards (``workers.on_call``): so none
is lost with a process, and none goes out for a case that was never stored. While nobody has looked, the next on call is
called, and the next. A call names the case, its deadline and where to look; never a word of the post.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage.db import Alert, Case
from triage.domain.lifecycle import CaseStatus
from triage.domain.taxonomy import Tier
from triage.settings import current

#: A case calls no more often than this, then it is left to the page and to the metrics.
MOST_STEPS = 12
_LEASE = timedelta(seconds=60)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=5), timedelta(seconds=60)
NOBODY = "nobody is on call: TRIAGE_ON_CALL is empty"

#: Literals, so that the partial index of what nobody has seen is used.
UNSEEN: ColumnElement[bool] = and_(
    Case.status == literal(CaseStatus.OPEN.value, literal_execute=True),
    Case.seen_at.is_(None),
    Case.tier == literal(Tier.P0.value, literal_execute=True),
)


@dataclass(frozen=True, slots=True)
class Due:
    """A call to deliver. ``sent`` names the targets that have it already."""

    alert_id: uuid.UUID
    step: int
    attempts: int
    sent: tuple[str, ...]
    case_id: uuid.UUID
    case_number: int
    tier: str
    deadline_at: datetime | None
    received_at: datetime


def raise_first(session: Session, newly_p0: Sequence[Case], *, now: datetime) -> None:
    """Call somebody for cases that have just become P0, in the transaction that made them so.

    A case that somebody looked at when it was less wants another look.
    """
    if not newly_p0:
        return
    for case in newly_p0:
        if case.lease_until is None or case.lease_until < now:
            case.seen_at = None
    rows = [{"case_id": case.id, "step": 0, "created_at": now, "not_before": now} for case in newly_p0]
    session.execute(upsert(Alert).on_conflict_do_nothing(), rows)


def raise_next(session: Session, *, now: datetime) -> int:
    """Call the next on call for each P0 that nobody has looked at since the last call; returns how many."""
    patience = timedelta(minutes=current().on_call_minutes)
    called = select(func.max(Alert.step).label("step"), func.max(Alert.created_at).label("at"))
    last = called.where(Alert.case_id == Case.id).correlate(Case).lateral()
    rows = session.execute(
        select(Case.id, func.coalesce(last.c.step + 1, 0))
        .join(last, literal(True))
        .where(UNSEEN, func.coalesce(last.c.step + 1, 0) < MOST_STEPS)
        .where(or_(last.c.at.is_(None), last.c.at < now - patience))
        .order_by(Case.id)
        .limit(500)
        .with_for_update(of=Case, skip_locked=True, key_share=True)
    ).all()
    if rows:
        new = [{"case_id": case_id, "step": step, "created_at": now, "not_before": now} for case_id, step in rows]
        session.execute(upsert(Alert).on_conflict_do_nothing(), new)
    return len(rows)


def claim_due(session: Session, *, now: datetime, limit: int = 20) -> list[Due]:
    """Take calls that are due, under a lease; those that are no longer needed are stopped on the way."""
    open_ = and_(Alert.delivered_at.is_(None), Alert.stopped_at.is_(None))
    needed = exists().where(Case.id == Alert.case_id, UNSEEN)
    session.execute(update(Alert).where(open_, ~needed).values(stopped_at=now))
    due = session.execute(
        select(Alert, Case)
        .join(Case, Case.id == Alert.case_id)
        .where(open_, Alert.not_before <= now, or_(Alert.lease_until.is_(None), Alert.lease_until < now))
        .order_by(Alert.not_before)
        .limit(limit)
        .with_for_update(of=Alert, skip_locked=True)
    ).all()
    for alert, _ in due:
        alert.lease_until, alert.attempts = now + _LEASE, alert.attempts + 1
    return [
        Due(
            alert_id=alert.id,
            step=alert.step,
            attempts=alert.attempts,
            sent=tuple(alert.sent),
            case_id=case.id,
            case_number=case.number,
            tier=case.tier or "",
            deadline_at=case.deadline_at,
            received_at=case.received_at,
        )
        for alert, case in due
    ]


def settle(session: Session, due: Due, *, sent: Iterable[str], failure: str | None, now: datetime) -> None:
    """Store how a delivery went: done, or to be tried again a little later, to whom it did not reach.

    Args:
        sent: all targets that have it by now.
        failure: why some have not; ``None``: all have.
    """
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (due.attempts - 1))
    session.execute(
        update(Alert)
        .where(Alert.id == due.alert_id)
        .values(
            sent=sorted(set(sent)),
            failure=failure,
            delivered_at=None if failure else now,
            not_before=now + wait,
            lease_until=None,
        )
    )


def undelivered(session: Session) -> int:
    """Calls that are still needed, were tried, and reached nobody."""
    waiting = and_(Alert.delivered_at.is_(None), Alert.stopped_at.is_(None), Alert.attempts > 0)
    return session.scalar(select(func.count()).select_from(Alert).where(waiting)) or 0
