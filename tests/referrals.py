"""Referrals for tests: a case decided ``refer`` by the moderator, through the real use cases."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from annotations import review, second_reading
from annotations.review import View
from tests import factories
from tests.people import People
from triage import referral
from triage.db import Case, Referral, User
from triage.domain.gates import Grounds, Likelihood, PossibleChild, RequestedAction
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target

VIEW = View(("TTL",), SpeechAct.THREAT, Target.NAMED_OR_IDENTIFIABLE_PERSON, Imminence.NEAR)


def grounds(people: People, **changes: Any) -> Grounds:
    """Good grounds for a referral to the first partner under its own terms. No child: no second reader is needed."""
    return replace(
        Grounds(
            recipient_id=str(people.partner.id),
            statement_of_reasons="The post names a time and a place and announces that somebody will be hurt there.",
            causal_path="Those addressed go to the stop at that time; violence is likely.",
            necessity="The meeting is announced for this afternoon.",
            least_intrusive="A label would not reach the person addressed in time.",
            requested_action=RequestedAction.REVIEW,
            platform_policy_clause="Violent speech, clause 2",
            possible_child=PossibleChild.NO,
            facts="The words name a stop and half past three.",
            proportionality="One public post is named, and a review of it asked for.",
            likelihood=Likelihood.LIKELY,
        ),
        **changes,
    )


def refer(
    session: Session,
    people: People,
    case: Case,
    *,
    by: User | None = None,
    view: View = VIEW,
    now: datetime | None = None,
    **changes: Any,
) -> Referral:
    """The case decided ``refer`` (committed); the referral waits for approval."""
    reviewer, now = by or people.moderator, now or datetime.now(UTC)
    review.claim(session, reviewer, case.id, now=now)
    review.judge_first(session, reviewer, case.id, view, now=now)
    review.decide(
        session,
        reviewer,
        case.id,
        view,
        outcome=Outcome.REFER,
        reasons="Names a time and a place.",
        grounds=grounds(people, **changes),
        now=now,
    )
    session.commit()
    return next(row for row in referral.pending(session) if row.case_id == case.id)


def read_by_second(session: Session, row: Referral, reader: User, *, agrees: bool = True, view: View = VIEW) -> None:
    """A second reader reads the post blind, sees the decision and answers (committed)."""
    second_reading.judge(session, reader, row.id, view, PossibleChild.UNKNOWN)
    second_reading.answer(session, reader, row.id, agrees=agrees, reasons="I read it so too.", now=datetime.now(UTC))
    session.commit()


def approved(session: Session, people: People, case: Case | None = None, **changes: Any) -> Referral:
    """A referral that has left the house (committed)."""
    waiting = refer(session, people, case or factories.open_case(session, people), **changes)
    if waiting.needs_second_reader:
        read_by_second(session, waiting, people.second_moderator)
    row = referral.approve(session, people.approver, waiting.id, now=datetime.now(UTC))
    session.commit()
    return row
