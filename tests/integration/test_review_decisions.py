"""Judging before the reasons are shown, and deciding once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from annotations import review
from annotations.review import View
from tests import factories, referrals
from tests.people import People
from triage import audit, cases
from triage.db import Case, Decision, Event, Judgement, Referral, User
from triage.domain.errors import Conflict, GateClosed, IllegalTransition, InvalidInput, LeaseLost
from triage.domain.lifecycle import CaseEvent, CaseStatus, Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target
from triage.settings import current

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=current().lease_minutes, seconds=1)
THREAT = View(("TTL",), SpeechAct.THREAT, Target.NAMED_OR_IDENTIFIABLE_PERSON, Imminence.NEAR)
HARMLESS = View(("BEN",), SpeechAct.UNCLEAR, Target.NONE, Imminence.UNSPECIFIED)


def judged(session: Session, user: User, case: Case, view: View = HARMLESS) -> Case:
    review.claim(session, user, case.id, now=NOW)
    review.judge_first(session, user, case.id, view, now=NOW)
    return case


def decide(session: Session, user: User, case: Case, view: View = HARMLESS, **changes: object) -> Decision:
    given: dict[str, object] = {"outcome": Outcome.NO_VIOLATION, "reasons": "", "grounds": None, "now": NOW} | changes
    return review.decide(session, user, case.id, view, **given)  # type: ignore[arg-type]


def count(session: Session, table: type) -> int | None:
    return session.scalar(select(func.count()).select_from(table))


def test_no_violation_closes_the_case(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))

    decision = decide(session, people.moderator, case)

    assert (case.status, case.outcome, case.lease_user_id) == ("decided", "no_violation", None)
    assert (decision.policy_version, decision.taxonomy_version) != ("", "")
    events = session.scalars(select(Event).where(Event.case_id == case.id).order_by(Event.id)).all()
    assert [event.kind for event in events] == [
        "case.reported",
        "case.assessed",
        "case.claimed",
        "case.judged",
        "case.decided",
    ]
    assert cases.folded(events) == cases.state_of(case)


def test_first_judgement_cannot_be_changed_after_the_reveal(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people), THREAT)

    again = review.judge_first(session, people.moderator, case.id, HARMLESS, now=NOW)

    assert again.codes == ["TTL"]
    assert count(session, Judgement) == 1


def test_decision_needs_a_judgement_first(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    review.claim(session, people.moderator, case.id, now=NOW)

    with pytest.raises(Conflict, match="Judge"):
        decide(session, people.moderator, case)


def test_decision_sent_twice_is_one(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))

    first = decide(session, people.moderator, case)
    second = decide(session, people.moderator, case)

    assert first is second
    assert count(session, Decision) == 1


def test_other_answer_after_the_decision_is_refused(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))
    decide(session, people.moderator, case)

    with pytest.raises(Conflict, match="stands"):
        decide(session, people.moderator, case, THREAT, outcome=Outcome.ESCALATE, reasons="on second thoughts")


def test_late_decision_stands_while_nobody_else_took_the_case(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))

    decide(session, people.moderator, case, now=LATER)

    assert case.status == CaseStatus.DECIDED.value


def test_late_decision_is_refused_once_another_reads(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))
    review.claim_next(session, people.second_moderator, now=LATER)

    with pytest.raises(LeaseLost):
        decide(session, people.moderator, case, now=LATER)
    assert (case.status, count(session, Decision)) == ("open", 0)


def test_late_decision_is_refused_once_another_decided(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))
    review.claim_next(session, people.second_moderator, now=LATER)
    review.judge_first(session, people.second_moderator, case.id, HARMLESS, now=LATER)
    decide(session, people.second_moderator, case, now=LATER)

    with pytest.raises(IllegalTransition):
        decide(session, people.moderator, case, now=LATER)
    assert count(session, Decision) == 1


def test_changing_the_codes_after_the_reveal_needs_reasons(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people), THREAT)

    with pytest.raises(GateClosed) as refusal:
        decide(session, people.moderator, case, HARMLESS)
    assert refusal.value.field == "reasons"

    decide(session, people.moderator, case, HARMLESS, reasons="It is a lyric, as the model says")
    decided = session.scalars(select(Event).where(Event.kind == "case.decided")).one()
    assert decided.data["changed_after_reasons"] is True


def test_second_opinion_goes_to_somebody_else(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people), THREAT)
    decide(session, people.moderator, case, THREAT, outcome=Outcome.SECOND_OPINION, reasons="I do not know this slang")

    assert case.status == CaseStatus.OPEN.value
    assert review.claim_next(session, people.moderator, now=NOW) is None
    assert review.claim_next(session, people.second_moderator, now=NOW) is case


def test_reopened_case_is_read_anew_even_by_the_same_person(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people))
    decide(session, people.moderator, case)
    session.commit()
    cases.advance(session, audit.system("tests"), case, CaseEvent.REOPENED, because="urgent_report")
    session.commit()

    assert review.claim_next(session, people.moderator, now=NOW) is case
    assert review.first_judgement(session, people.moderator, case.id) is None
    review.judge_first(session, people.moderator, case.id, THREAT, now=NOW)
    decide(session, people.moderator, case, THREAT, outcome=Outcome.ESCALATE, reasons="He is there now")
    assert (case.outcome, count(session, Decision)) == ("escalate", 2)


def test_another_case_that_was_reopened_brings_back_no_case_decided_before(session: Session, people: People) -> None:
    unsure = judged(session, people.moderator, factories.open_case(session, people), THREAT)
    other = judged(session, people.second_moderator, factories.open_case(session, people, text="another"))
    decide(
        session, people.moderator, unsure, THREAT, outcome=Outcome.SECOND_OPINION, reasons="I do not know this slang"
    )
    decide(session, people.second_moderator, other)
    session.commit()

    cases.advance(session, audit.system("tests"), other, CaseEvent.REOPENED, because="urgent_report")
    session.commit()

    assert review.claim(session, people.second_moderator, other.id, now=NOW) is other
    assert review.claim_next(session, people.moderator, now=NOW) is None


def test_refer_opens_a_referral_with_the_decision(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people), THREAT)

    decision = decide(
        session,
        people.moderator,
        case,
        THREAT,
        outcome=Outcome.REFER,
        reasons="A threat",
        grounds=referrals.grounds(people),
    )

    referral = session.scalars(select(Referral)).one()
    assert (referral.decision_id, referral.reviewer_id) == (decision.id, people.moderator.id)
    assert case.status == CaseStatus.AWAITING_APPROVAL.value


def test_closed_gate_stores_nothing(session: Session, people: People) -> None:
    case = judged(session, people.moderator, factories.open_case(session, people), THREAT)
    weak = referrals.grounds(people, platform_policy_clause="")
    session.commit()

    with pytest.raises(GateClosed) as refusal, session.begin_nested():
        decide(session, people.moderator, case, THREAT, outcome=Outcome.REFER, reasons="A threat", grounds=weak)

    assert refusal.value.field == "platform_policy_clause"
    assert (count(session, Decision), count(session, Referral), count(session, Judgement)) == (0, 0, 1)


@pytest.mark.parametrize(
    ("codes", "says"), [((), "at least one"), (("NOPE",), "Unknown"), (("BEN", "TTL"), "cannot stand")]
)
def test_impossible_views_are_refused(session: Session, people: People, codes: tuple[str, ...], says: str) -> None:
    case = factories.open_case(session, people)
    review.claim(session, people.moderator, case.id, now=NOW)

    with pytest.raises(InvalidInput, match=says):
        review.judge_first(session, people.moderator, case.id, replace(HARMLESS, codes=codes), now=NOW)
