"""What follows a decision outside: safeguarding, a call about a threat to life, handing over to another owner.

A follow-up is opened in the transaction of its decision, kept open until what it asks for was done and recorded, and
each step and reading is an event. Nobody is called or written to by the service.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from triage import accounts, audit, cases
from triage.audit import Entry
from triage.db import Case, Decision, FollowUp, FollowUpStep, User
from triage.domain import follow_up
from triage.domain.errors import IllegalTransition, InvalidInput, NotFound
from triage.domain.follow_up import OPENED_BY, STEPS, Ending, FollowUpKind, StepKind
from triage.domain.gates import PossibleChild
from triage.domain.lifecycle import CaseEvent, CaseStatus, Outcome
from triage.domain.taxonomy import Tier
from triage.domain.words import Operation, Role
from triage.formats import wording

#: Whose list it is on. A threat to life is everybody's until it is done.
ROLES = {
    FollowUpKind.SAFEGUARD: (Role.SAFEGUARDING,),
    FollowUpKind.LIFE_THREAT: (Role.MODERATOR, Role.APPROVER, Role.SAFEGUARDING),
    FollowUpKind.ROUTE_OUT: (Role.MODERATOR, Role.APPROVER),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list. No words of the post."""

    id: uuid.UUID
    kind: FollowUpKind
    case_number: int
    tier: str | None
    codes: tuple[str, ...]
    possible_child: str
    due_at: datetime
    created_at: datetime
    ending: str | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded step, with the pseudonym of who did it."""

    kind: StepKind
    told: str
    reference: str | None
    note: str | None
    done_at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class NewStep:
    """A step as somebody typed it. ``done_at`` is when it was done, not when it is typed (aware UTC)."""

    kind: StepKind
    told: str
    done_at: datetime
    reference: str = ""
    note: str = ""


def open_for(
    session: Session, user: User, case: Case, decision: Decision, possible_child: PossibleChild, *, now: datetime
) -> FollowUp | None:
    """Put what the decision asks for on its list; ``None`` where it asks for nothing outside."""
    kind = OPENED_BY.get(Outcome(decision.outcome))
    if kind is None:
        return None
    due = follow_up.due(kind, Tier(case.tier or Tier.P2), possible_child, now=now, case_due=case.deadline_at or now)
    row = FollowUp(
        kind=str(kind),
        case_id=case.id,
        decision_id=decision.id,
        possible_child=str(possible_child),
        band=due.band,
        due_at=due.at,
    )
    session.add(row)
    session.flush()
    _record(session, user, row, Operation.ALTERATION, "follow_up.opened", kind_of=str(kind))
    return row


def listed(
    session: Session, user: User, kinds: Sequence[FollowUpKind], *, closed: bool = False, limit: int = 100
) -> list[Row]:
    """What is open of these kinds, a life first, then a child, then by the time it is due; or what was closed last."""
    for kind in kinds:
        accounts.require(user, *ROLES[kind])
    query = (
        select(FollowUp, Case.number, Case.tier, Decision.codes)
        .join(Case, Case.id == FollowUp.case_id)
        .join(Decision, Decision.id == FollowUp.decision_id)
        .where(FollowUp.kind.in_([str(kind) for kind in kinds]))
        .limit(limit)
    )
    if closed:
        query = query.where(FollowUp.ending.is_not(None)).order_by(FollowUp.closed_at.desc())
    else:
        query = query.where(FollowUp.ending.is_(None)).order_by(FollowUp.band, FollowUp.due_at, FollowUp.id)
    return [
        Row(
            id=row.id,
            kind=FollowUpKind(row.kind),
            case_number=number,
            tier=tier,
            codes=tuple(codes),
            possible_child=row.possible_child,
            due_at=row.due_at,
            created_at=row.created_at,
            ending=row.ending,
            closed_at=row.closed_at,
        )
        for row, number, tier, codes in session.execute(query)
    ]


def waiting(session: Session, kinds: Sequence[FollowUpKind], *, now: datetime) -> tuple[int, int]:
    """How many are open of these kinds, and how many of them are overdue: figures only."""
    row = session.execute(
        select(func.count(), func.count().filter(FollowUp.due_at < now))
        .select_from(FollowUp)
        .where(FollowUp.ending.is_(None), FollowUp.kind.in_([str(kind) for kind in kinds]))
    ).one()
    return row[0], row[1]


def read(session: Session, user: User, follow_up_id: uuid.UUID) -> tuple[FollowUp, Case]:
    """One follow-up with its case, for somebody whose list it is on; the reading is an event.

    Raises:
        NotFound: there is none.
        Forbidden: it is not on this person's list.
    """
    row, case = _locked(session, user, follow_up_id)
    _record(session, user, row, Operation.CONSULTATION, "follow_up.read")
    return row, case


def of_decision(session: Session, decision_id: uuid.UUID) -> FollowUp | None:
    """What a decision opened."""
    return session.scalar(select(FollowUp).where(FollowUp.decision_id == decision_id))


def steps(session: Session, follow_up_id: uuid.UUID) -> list[Step]:
    """What was done, in the order in which it was done."""
    rows = session.execute(
        select(FollowUpStep, User.pseudonym)
        .join(User, User.id == FollowUpStep.user_id)
        .where(FollowUpStep.follow_up_id == follow_up_id)
        .order_by(FollowUpStep.done_at, FollowUpStep.id)
    )
    return [Step(StepKind(row.kind), row.told, row.reference, row.note, row.done_at, by) for row, by in rows]


def add_step(session: Session, user: User, follow_up_id: uuid.UUID, step: NewStep, *, now: datetime) -> FollowUpStep:
    """Record what was done. Once the control room was phoned, what came of it is due a day later.

    Raises:
        NotFound, Forbidden: as for ``read``.
        IllegalTransition: it has ended.
        InvalidInput: not a step of this kind, nobody named, or a time that is still to come.
    """
    row, case = _open(session, user, follow_up_id)
    _check_step(FollowUpKind(row.kind), step, opened=row.created_at, now=now)
    if step.kind is StepKind.FOLLOWED_UP and StepKind.CONTROL_ROOM_PHONED not in _kinds(session, row):
        raise InvalidInput("Phone the control room first, and record it", field="kind")
    recorded = FollowUpStep(
        follow_up_id=row.id,
        kind=str(step.kind),
        told=step.told.strip(),
        reference=step.reference.strip() or None,
        note=step.note.strip() or None,
        done_at=step.done_at,
        user_id=user.id,
    )
    session.add(recorded)
    if step.kind is StepKind.CONTROL_ROOM_PHONED:
        row.due_at = step.done_at + follow_up.FOLLOW_UP_AFTER
    session.flush()
    _record(session, user, row, Operation.ALTERATION, "follow_up.step", step=str(step.kind), case=case.number)
    return recorded


def close(
    session: Session, user: User, follow_up_id: uuid.UUID, ending: Ending, *, reasons: str, now: datetime
) -> FollowUp:
    """End it. Handed back, the case opens again for the reviewers.

    Raises:
        NotFound, Forbidden: as for ``read``.
        IllegalTransition: it has ended; or it cannot be handed back, because the case has gone on meanwhile.
        GateClosed: what has to be done is not recorded, or reasons are missing.
    """
    row, case = _open(session, user, follow_up_id)
    follow_up.check_ending(FollowUpKind(row.kind), ending, _kinds(session, row), reasons)
    wording.check_neutral(reasons, "reasons")
    row.ending, row.reasons = str(ending), reasons.strip() or None
    row.closed_at, row.closed_by = now, user.id
    session.flush()
    _record(session, user, row, Operation.ALTERATION, "follow_up.closed", ending=str(ending))
    if ending is Ending.HANDED_BACK:
        if case.status != CaseStatus.DECIDED.value:
            raise IllegalTransition(f"Case {case.number} is being read anew already: end this without handing it back")
        cases.advance(session, accounts.actor_of(user), case, CaseEvent.REOPENED, because=f"{row.kind}_handed_back")
        cases.put_in_place(case, now=now)
    return row


def _locked(session: Session, user: User, follow_up_id: uuid.UUID) -> tuple[FollowUp, Case]:
    """The follow-up and its case, locked: the case first, as everywhere."""
    found = session.execute(select(FollowUp.case_id, FollowUp.kind).where(FollowUp.id == follow_up_id)).first()
    if found is None:
        raise NotFound("There is no such follow-up")
    accounts.require(user, *ROLES[FollowUpKind(found.kind)])
    case = cases.locked(session, found.case_id)
    row = session.scalars(
        select(FollowUp).where(FollowUp.id == follow_up_id).with_for_update().execution_options(populate_existing=True)
    ).one()
    return row, case


def _open(session: Session, user: User, follow_up_id: uuid.UUID) -> tuple[FollowUp, Case]:
    row, case = _locked(session, user, follow_up_id)
    if row.ending is not None:
        raise IllegalTransition("This has ended: nothing can be added")
    return row, case


def _kinds(session: Session, row: FollowUp) -> set[StepKind]:
    done = session.scalars(select(FollowUpStep.kind).where(FollowUpStep.follow_up_id == row.id))
    return {StepKind(kind) for kind in done}


def _check_step(kind: FollowUpKind, step: NewStep, *, opened: datetime, now: datetime) -> None:
    if step.kind not in STEPS[kind]:
        raise InvalidInput("Choose what was done", field="kind")
    if step.kind is StepKind.NOTE:
        if not step.note.strip():
            raise InvalidInput("Write the note", field="note")
    elif not step.told.strip():
        raise InvalidInput("Say who was told, or took it over: an office and a role", field="told")
    if step.done_at > now:
        raise InvalidInput("That is still to come: record it once it is done", field="done_at")
    for field, text in (("told", step.told), ("note", step.note)):
        wording.check_neutral(text, field)


def _record(session: Session, user: User, row: FollowUp, operation: Operation, kind: str, **data: object) -> None:
    """Ids and kinds only: who was told and why stays in the row."""
    audit.record(
        session,
        accounts.actor_of(user),
        Entry(operation, kind, "follow_up", str(row.id), case_id=row.case_id, data=data),
    )
