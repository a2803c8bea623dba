"""How often people upheld what each organisation reported, counted from the cases themselves.

Upheld: a person found something in it, whatever came of that. Not upheld: no violation. What was returned, or is with
somebody else, counts as neither. One case counts once for an organisation, however often it was reported.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage.db import Case, Report, SourceRecord
from triage.domain.lifecycle import CaseStatus, Outcome

UPHELD = (Outcome.REFER, Outcome.SAFEGUARD, Outcome.ESCALATE, Outcome.ROUTE_OUT)
#: Older reports say little about how an organisation reports now.
LOOK_BACK = timedelta(days=365)


def recount(session: Session, *, now: datetime) -> int:
    """Count every organisation anew; returns how many have a record. Nothing is added up, so nothing can drift."""
    counted = select(_decided(now).subquery())
    store = upsert(SourceRecord).from_select(["partner_id", "upheld", "not_upheld", "counted_at"], counted)
    session.execute(
        store.on_conflict_do_update(
            index_elements=[SourceRecord.partner_id],
            set_={name: store.excluded[name] for name in ("upheld", "not_upheld", "counted_at")},
        )
    )
    session.execute(delete(SourceRecord).where(SourceRecord.counted_at < now))
    return session.scalar(select(func.count()).select_from(SourceRecord)) or 0


def _decided(now: datetime) -> Select[*tuple[Any, ...]]:
    upheld = Case.outcome.in_([str(outcome) for outcome in UPHELD])
    no = Case.outcome == Outcome.NO_VIOLATION.value
    return (
        select(
            Report.partner_id,
            func.count(Case.id.distinct()).filter(upheld).label("upheld"),
            func.count(Case.id.distinct()).filter(no).label("not_upheld"),
            literal(now, SourceRecord.counted_at.type).label("counted_at"),
        )
        .join(Case, Case.id == Report.case_id)
        .where(
            Report.partner_id.is_not(None),
            Report.received_at > now - LOOK_BACK,
            Case.status == CaseStatus.DECIDED.value,
            upheld | no,
        )
        .group_by(Report.partner_id)
    )
