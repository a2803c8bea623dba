"""A person takes a case, reads it, judges it before seeing the machine's reasons, and decides.

The lease on the case row says who is reading. It is taken with ``FOR UPDATE SKIP LOCKED``, so two people who
ask at once get different cases. A lease that ran out still belongs to its holder until somebody else takes
the case: an answer given late is lost only when another person is already reading.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, exists, literal, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from annotations import follow_ups, keeping, wellbeing
from triage import accounts, audit, cases, metrics, referral
from triage.audit import Entry
from triage.db import Case, Decision, Event, Judgement, Report, User
from triage.domain import gates, policy, taxonomy
from triage.domain.desk import PassReason
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, LeaseLost
from triage.domain.gates import Grounds, PossibleChild, Proposal
from triage.domain.lifecycle import CaseEvent, CaseStatus, Outcome
from triage.domain.taxonomy import CODES, CONTEXTS, NO_VIOLATION, Imminence, SpeechAct, Target
from triage.domain.words import Operation, Role, Stage
from triage.formats import wording
from triage.settings import current


@dataclass(frozen=True, slots=True)
class View:
    """What a person makes of a post, on the five axes of docs/concepts.md."""

    codes: tuple[str, ...]
    speech_act: SpeechAct
    target: Target
    imminence: Imminence
    contexts: tuple[str, ...] = ()


def claim_next(session: Session, user: User, *, now: datetime, queue: str | None = None) -> Case | None:
    """Take the case that is next, of one queue or of all, or go on with the one the user holds.

    Of all queues: first a threat to life, then what was given to this person, then the most urgent. Left out: cases the
    user submitted, decided or passed before, those on hold or kept for somebody else, and those somebody is reading. A
    second claimer skips a row that the first has locked, and sees the first one's lease once that is committed.
    """
    accounts.require(user, Role.MODERATOR)
    if (held := holds(session, user, now=now)) is not None:
        return held
    wellbeing.check(session, user, now=now)
    in_turn = (Case.queue == queue,) if queue else (Case.band == 0, Case.assigned_user_id == user.id, true())
    for wanted in in_turn:
        if (case := _first(session, user, wanted, now)) is not None:
            _take(session, user, case, now)
            return case
    return None


def _first(session: Session, user: User, wanted: ColumnElement[bool], now: datetime) -> Case | None:
    """The most urgent case of those ``wanted`` that the user may have, locked."""
    return session.scalar(
        select(Case)
        .where(
            wanted,
            Case.status == CaseStatus.OPEN.value,
            or_(Case.lease_until.is_(None), Case.lease_until < now),
            keeping.free_for(user, now=now),
            ~_submitted(user),
            ~_decided(user),
            ~_passed(user),
            wellbeing.not_left_out(user, now=now),
        )
        .order_by(Case.band, Case.deadline_at, Case.risk.desc(), Case.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def holds(session: Session, user: User, *, now: datetime) -> Case | None:
    """The open case the user is reading now, if any."""
    return session.scalar(
        select(Case).where(Case.lease_user_id == user.id, Case.lease_until >= now, Case.status == CaseStatus.OPEN.value)
    )


def claim(session: Session, user: User, case_id: uuid.UUID, *, now: datetime) -> Case:
    """Take one particular case.

    Raises:
        Forbidden: the user submitted it or decided it before.
        Conflict: somebody else is reading it or it is kept for them, or the user is reading another one.
        IllegalTransition: it is not open.
    """
    accounts.require(user, Role.MODERATOR)
    case = cases.locked(session, case_id)
    if session.scalar(select(Case.id).where(Case.id == case_id, _submitted(user))):
        raise Forbidden("You submitted this post: somebody else has to review it")
    if session.scalar(select(Case.id).where(Case.id == case_id, _decided(user))):
        raise Forbidden("You have decided on this case before: it is waiting for somebody else")
    if _held_by_another(case, user, now):
        raise Conflict("Somebody else is reading this case")
    keeping.check_free(case, user, now=now)
    if (held := holds(session, user, now=now)) is not None:
        if held.id == case.id:
            return case
        raise Conflict(f"You are reading case {held.number}: decide it, or put it back, before you take another")
    wellbeing.check(session, user, now=now, case=case)
    _take(session, user, case, now)
    return case


def extend(session: Session, user: User, case_id: uuid.UUID, *, now: datetime) -> Case:
    """Keep the case for another full lease. Raises LeaseLost."""
    case = held_case(session, user, case_id, now)
    case.lease_until = _lease_end(now)
    wellbeing.begin(session, user, case, now=now)
    return case


def release(session: Session, user: User, case_id: uuid.UUID, *, now: datetime) -> Case:
    """Put the case back; it may come to the same person again. Raises LeaseLost."""
    return _give_back(session, user, case_id, passed=False, now=now)


def pass_case(
    session: Session, user: User, case_id: uuid.UUID, *, now: datetime, reason: PassReason | None = None
) -> Case:
    """Leave the case to somebody else, no reason asked: it is not offered to this person again. Raises LeaseLost.

    Args:
        reason: where the reader cares to say; the next reader is told, but not by whom.
    """
    return _give_back(session, user, case_id, passed=True, reason=reason, now=now)


def read_case(session: Session, user: User, case_id: uuid.UUID, *, now: datetime) -> Case:
    """The case for its holder to read; the reading is an event in the same transaction.

    Raises:
        LeaseLost: somebody else is reading it, or nobody was asked to.
    """
    case = held_case(session, user, case_id, now)
    audit.record(session, accounts.actor_of(user), _read_entry(case))
    return case


def first_judgement(session: Session, user: User, case_id: uuid.UUID) -> Judgement | None:
    """What the user said of this case before seeing the machine's reasons."""
    return session.scalar(
        select(Judgement)
        .where(
            Judgement.case_id == case_id,
            Judgement.user_id == user.id,
            Judgement.stage == Stage.FIRST.value,
            _this_round(Judgement.case_id, Judgement.created_at),
        )
        .order_by(Judgement.id)
        .limit(1)
    )


def judge_first(session: Session, user: User, case_id: uuid.UUID, view: View, *, now: datetime) -> Judgement:
    """Store the user's own view, after which the machine's reasons may be shown. Given once: a repeat gets the first.

    Raises:
        LeaseLost: the case is somebody else's.
        InvalidInput: no code, an unknown one, or "no violation" beside another.
    """
    case = held_case(session, user, case_id, now)
    if (given := first_judgement(session, user, case_id)) is not None:
        return given
    check_view(view)
    judgement = _judgement(session, user, case, Stage.FIRST, view)
    case.lease_until = _lease_end(now)
    cases.advance(
        session,
        accounts.actor_of(user),
        case,
        CaseEvent.JUDGED,
        object_type="judgement",
        object_id=str(judgement.id),
        codes=list(view.codes),
    )
    return judgement


def decide(
    session: Session,
    user: User,
    case_id: uuid.UUID,
    view: View,
    *,
    outcome: Outcome,
    reasons: str,
    grounds: Grounds | None,
    now: datetime,
    possible_child: PossibleChild = PossibleChild.UNKNOWN,
) -> Decision:
    """Decide the case: final judgement, decision, events and the referral or follow-up, in one transaction.

    Sent twice, it is one decision.

    Args:
        possible_child: for what is followed up outside; a referral says it in its grounds.

    Raises:
        LeaseLost: somebody else holds the case by now.
        Conflict: the user decided this case before, and otherwise; or has not judged it yet.
        InvalidInput: the view is not complete, or the reasons label people.
        GateClosed: a rule of the code book stands against it; names the field.
    """
    accounts.require(user, Role.MODERATOR)
    case = cases.locked(session, case_id)
    if (earlier := standing_decision(session, user, case_id)) is not None:
        return _same(earlier, outcome, view)
    _check_held(case, user, now)
    first = first_judgement(session, user, case_id)
    if first is None:
        raise Conflict("Judge the post first: the decision comes after your own view of it")
    check_view(view)
    grounds = grounds if outcome is Outcome.REFER else None
    proposal = Proposal(outcome, view.codes, view.contexts, reasons, grounds, changed(first, view))
    gates.check(proposal, on=now.date(), old_event_months=current().old_event_months)
    wording.check_neutral(reasons, "reasons")
    decision = _store(session, user, case, view, proposal)
    _close(session, user, case, decision, proposal)
    wellbeing.end(session, user, now=now)
    follow_ups.open_for(session, user, case, decision, possible_child, now=now)
    return decision


def changed(first: Judgement, view: View) -> bool:
    """Whether the codes differ from what the person said first. Only that needs written reasons."""
    return set(first.codes) != set(view.codes)


def may_review(session: Session, user: User, case_id: uuid.UUID) -> bool:
    """Whether the user neither submitted the post nor decided about the case since it was last reopened."""
    return not session.scalar(select(Case.id).where(Case.id == case_id, or_(_submitted(user), _decided(user))))


def submitters(session: Session, case_id: uuid.UUID) -> list[uuid.UUID]:
    """Who submitted the post by hand. None of them may review or approve it."""
    query = select(Report.submitted_by).where(Report.case_id == case_id, Report.submitted_by.is_not(None)).distinct()
    return [user_id for user_id in session.scalars(query) if user_id is not None]


def _store(session: Session, user: User, case: Case, view: View, proposal: Proposal) -> Decision:
    final = _judgement(session, user, case, Stage.FINAL, view)
    decision = Decision(
        case_id=case.id,
        user_id=user.id,
        judgement_id=final.id,
        outcome=str(proposal.outcome),
        codes=list(view.codes),
        reasons=proposal.reasons.strip(),
        referral=_plain(proposal.grounds),
        policy_version=policy.CURRENT.version,
        taxonomy_version=taxonomy.VERSION,
    )
    session.add(decision)
    session.flush()
    return decision


def _close(session: Session, user: User, case: Case, decision: Decision, proposal: Proposal) -> None:
    actor = accounts.actor_of(user)
    cases.release_lease(case)
    cases.advance(
        session,
        actor,
        case,
        CaseEvent.DECIDED,
        object_type="decision",
        object_id=str(decision.id),
        outcome=str(proposal.outcome),
        codes=list(proposal.codes),
        changed_after_reasons=proposal.overrides_first_judgement,
        policy_version=decision.policy_version,
    )
    if proposal.outcome is Outcome.REFER:
        referral.open_referral(session, actor, case, decision, submitter_ids=submitters(session, case.id))
    metrics.decisions.labels(outcome=str(proposal.outcome)).inc()


def _same(earlier: Decision, outcome: Outcome, view: View) -> Decision:
    if earlier.outcome == str(outcome) and set(earlier.codes) == set(view.codes):
        return earlier
    raise Conflict("You have decided this case before; that decision stands")


def standing_decision(session: Session, user: User, case_id: uuid.UUID) -> Decision | None:
    """What the user decided about this case since it was last reopened."""
    return session.scalar(
        select(Decision)
        .where(
            Decision.case_id == case_id,
            Decision.user_id == user.id,
            _this_round(Decision.case_id, Decision.created_at),
        )
        .order_by(Decision.id.desc())
        .limit(1)
    )


def _judgement(session: Session, user: User, case: Case, stage: Stage, view: View) -> Judgement:
    judgement = Judgement(
        case_id=case.id,
        user_id=user.id,
        stage=str(stage),
        codes=list(view.codes),
        speech_act=str(view.speech_act),
        target=str(view.target),
        imminence=str(view.imminence),
        contexts=list(view.contexts),
    )
    session.add(judgement)
    session.flush()
    return judgement


def check_view(view: View) -> None:
    """Raises InvalidInput: no code, an unknown one, or "no violation" beside another; an unknown context."""
    if not view.codes:
        raise InvalidInput(f"Choose at least one policy code, or {NO_VIOLATION} for no violation", field="codes")
    if unknown := sorted(set(view.codes) - set(CODES)):
        raise InvalidInput(f"Unknown policy code {', '.join(unknown)}", field="codes")
    if NO_VIOLATION in view.codes and len(view.codes) > 1:
        raise InvalidInput(f"{NO_VIOLATION} (no violation) cannot stand beside another code", field="codes")
    if unknown := sorted(set(view.contexts) - set(CONTEXTS)):
        raise InvalidInput(f"Unknown context {', '.join(unknown)}", field="contexts")


def _take(session: Session, user: User, case: Case, now: datetime) -> None:
    case.lease_user_id, case.lease_until = user.id, _lease_end(now)
    case.seen_at = case.seen_at or now
    case.hold_user_id = case.hold_until = None
    wellbeing.begin(session, user, case, now=now)
    cases.advance(session, accounts.actor_of(user), case, CaseEvent.CLAIMED)


def _give_back(
    session: Session, user: User, case_id: uuid.UUID, *, passed: bool, now: datetime, reason: PassReason | None = None
) -> Case:
    case = held_case(session, user, case_id, now)
    cases.release_lease(case)
    wellbeing.end(session, user, now=now)
    cases.advance(session, accounts.actor_of(user), case, CaseEvent.RELEASED, passed=passed, **_because(reason))
    return case


def _because(reason: PassReason | None) -> dict[str, Any]:
    return {"reason": str(reason)} if reason else {}


def held_case(session: Session, user: User, case_id: uuid.UUID, now: datetime) -> Case:
    """The case, locked, held by the user.

    Raises:
        NotFound: there is no such case.
        IllegalTransition: it is no longer open.
        LeaseLost: somebody else holds it by now, or nobody does.
    """
    accounts.require(user, Role.MODERATOR)
    case = cases.locked(session, case_id)
    _check_held(case, user, now)
    return case


def _check_held(case: Case, user: User, now: datetime) -> None:
    if case.status != CaseStatus.OPEN.value:
        raise IllegalTransition(f"Case {case.number} is no longer open")
    if case.lease_user_id != user.id:
        raise LeaseLost(
            "Somebody else is reading this case now"
            if _held_by_another(case, user, now)
            else "Nobody holds this case: take it first"
        )


def _held_by_another(case: Case, user: User, now: datetime) -> bool:
    held = case.lease_user_id not in (None, user.id)
    return held and case.lease_until is not None and case.lease_until >= now


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(minutes=current().lease_minutes)


def _read_entry(case: Case) -> Entry:
    return Entry(Operation.CONSULTATION, "case.read", "case", str(case.id), case_id=case.id)


def _plain(grounds: Grounds | None) -> dict[str, object] | None:
    """The grounds as JSON holds them: lists for tuples, text for enumerations."""
    if grounds is None:
        return None
    return {name: _plain_value(value) for name, value in grounds.as_dict().items()}


def _plain_value(value: object) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _submitted(user: User) -> ColumnElement[bool]:
    return exists().where(Report.case_id == Case.id, Report.submitted_by == user.id)


def _decided(user: User) -> ColumnElement[bool]:
    return exists().where(
        Decision.case_id == Case.id, Decision.user_id == user.id, _this_round(Decision.case_id, Decision.created_at)
    )


def _this_round(
    case_id: InstrumentedAttribute[uuid.UUID], said_at: InstrumentedAttribute[datetime]
) -> ColumnElement[bool]:
    """Said since the case was last reopened: new facts want a new reading, if need be by the same person."""
    return ~exists().where(Event.case_id == case_id, _kind(CaseEvent.REOPENED), Event.at > said_at)


def _kind(kind: CaseEvent) -> ColumnElement[bool]:
    """Written into the statement: the planner uses an index of these few events only where it can read which."""
    return Event.kind == literal(kind.value, literal_execute=True)


def _passed(user: User) -> ColumnElement[bool]:
    return exists().where(
        and_(
            Event.case_id == Case.id,
            _kind(CaseEvent.RELEASED),
            Event.actor_id == cast(user.id, String),
            Event.data["passed"].as_boolean(),
        )
    )
