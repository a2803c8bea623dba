"""The case row: found, moved along its life, and given its place in the queue.

Every change of a case goes through ``advance``: the event and the row it leads to are written in one
transaction, by the same pure function that ``triage doctor`` uses to check them.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from triage import audit
from triage.audit import Actor, Entry
from triage.db import Case, Event
from triage.db.bulk import update_rows
from triage.domain import lifecycle
from triage.domain.errors import NotFound
from triage.domain.lifecycle import CaseEvent, CaseState, CaseStatus, Outcome
from triage.domain.priority import place
from triage.domain.taxonomy import Tier
from triage.domain.words import Operation

_OPERATIONS = {
    CaseEvent.REPORTED: Operation.COLLECTION,
    CaseEvent.CLAIMED: Operation.CONSULTATION,
    CaseEvent.REFERRAL_APPROVED: Operation.DISCLOSURE,
    CaseEvent.REFERRAL_RECALLED: Operation.DISCLOSURE,
}


def locked(session: Session, case_id: uuid.UUID) -> Case:
    """The case, locked until the end of the transaction. Raises NotFound."""
    case = session.scalar(select(Case).where(Case.id == case_id).with_for_update(key_share=True))
    if case is None:
        raise NotFound("There is no such case")
    return case


def state_of(case: Case) -> CaseState:
    """The folded state as the row holds it."""
    return CaseState(
        status=CaseStatus(case.status),
        tier=Tier(case.tier) if case.tier else None,
        assessed=case.assessed,
        outcome=Outcome(case.outcome) if case.outcome else None,
        report_count=case.report_count,
    )


def advance(
    session: Session,
    actor: Actor,
    case: Case,
    kind: CaseEvent,
    *,
    object_type: str = "case",
    object_id: str | None = None,
    purpose: str | None = None,
    recipient_id: uuid.UUID | None = None,
    **data: Any,
) -> None:
    """Let ``kind`` happen to a locked case: check it may, write the event, update the row.

    Raises:
        IllegalTransition: it cannot happen to the case as it is now.
    """
    _move(case, kind, data)
    audit.record(session, actor, _entry(case.id, kind, object_type, object_id, purpose, recipient_id, data))


def advance_all(
    session: Session, actor: Actor, kind: CaseEvent, happened: Sequence[tuple[Case, Mapping[str, Any]]]
) -> None:
    """As ``advance``, to many locked cases: all their events in one statement. A batch is mostly round trips.

    Raises:
        IllegalTransition: it cannot happen to one of the cases as it is now.
    """
    for case, data in happened:
        _move(case, kind, data)
    audit.record_many(
        session, actor, [_entry(case.id, kind, "case", None, None, None, data) for case, data in happened]
    )


def _move(case: Case, kind: CaseEvent, data: Mapping[str, Any]) -> None:
    state = lifecycle.apply(state_of(case), kind, data)
    if kind is CaseEvent.REOPENED:
        case.seen_at = None  # new facts want a new look, and the clocks run again
    case.status = str(state.status)
    case.tier = str(state.tier) if state.tier else None
    case.assessed = state.assessed
    case.outcome = str(state.outcome) if state.outcome else None
    case.report_count = state.report_count
    case.version += 1


def write_all(session: Session, moved: Sequence[Case]) -> None:
    """Write what changed of these cases in one statement. Left to a flush, each case would be a round trip."""
    states = [inspect(case) for case in moved]
    names = sorted({name for state in states for name in set(state.mapper.column_attrs.keys()) - state.unmodified})
    if not names:
        return
    update_rows(session, Case, [{"id": case.id} | {name: getattr(case, name) for name in names} for case in moved])
    for case in moved:
        session.expire(case, names)


def _entry(
    case_id: uuid.UUID,
    kind: CaseEvent,
    object_type: str,
    object_id: str | None,
    purpose: str | None,
    recipient_id: uuid.UUID | None,
    data: Mapping[str, Any],
) -> Entry:
    return Entry(
        operation=_OPERATIONS.get(kind, Operation.ALTERATION),
        kind=str(kind),
        object_type=object_type,
        object_id=object_id or str(case_id),
        case_id=case_id,
        purpose=purpose,
        recipient_id=recipient_id,
        data=data,
    )


def put_in_place(case: Case, *, now: datetime) -> None:
    """Set the case's place in the queue from its tier, age and risk."""
    where = place(
        Tier(case.tier) if case.tier else Tier.P2,
        received_at=case.received_at,
        risk=case.risk,
        report_count=case.report_count,
        urgent_report=case.urgent,
        now=now,
    )
    case.band, case.deadline_at = where.band, where.deadline


def release_lease(case: Case) -> None:
    """Nobody holds the case any more, nor is it kept for anybody."""
    case.lease_user_id = case.lease_until = None
    case.assigned_user_id = case.assigned_until = None


def folded(events: Iterable[Event]) -> CaseState:
    """The state that a case's events lead to."""
    kinds = frozenset(str(kind) for kind in CaseEvent)
    return lifecycle.fold((CaseEvent(event.kind), event.data) for event in events if event.kind in kinds)


def lift_overdue(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Move cases that waited past their deadline one band up, so that no tier starves; returns how many."""
    overdue = session.scalars(
        select(Case)
        .where(
            Case.status == CaseStatus.OPEN.value,
            Case.deadline_at < now,
            Case.band > 1,
            Case.tier == func.concat("P", Case.band),
        )
        .order_by(Case.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for case in overdue:
        put_in_place(case, now=now)
    return len(overdue)
