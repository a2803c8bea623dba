"""Two of each at once: workers, deciders, sweeps, schedules."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from annotations import review
from annotations.review import View
from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.people import People
from triage import queue
from triage.db import Case, DeadLetter, Decision, Post, User
from triage.db.session import transaction
from triage.domain.errors import TriageError
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target
from triage.queue import Bell
from triage.settings import current
from workers import schedule

pytestmark = pytest.mark.fault

HARMLESS = View(("BEN",), SpeechAct.UNCLEAR, Target.NONE, Imminence.UNSPECIFIED)


def texts(number: int) -> list[str]:
    return [f"invented post number {n}" for n in range(number)]


def test_four_workers_share_a_lane(people: People) -> None:
    accepted = hands.accept(people, texts(200))

    broken = hands.at_once(*[hands.work_until_all_open] * 4)

    assert broken == [0] * 4
    assert_kept(accepted)


def test_four_schedules_at_once(people: People) -> None:
    """Posts that their workers never finished, and nobody heard the bell."""
    accepted = hands.accept(people, texts(50))
    hands.claim(limit=50)
    with transaction() as session:
        session.execute(
            update(Post).values(
                scoring_attempts=current().scoring_attempts, scoring_lease_until=func.now() - timedelta(seconds=1)
            )
        )

    answers = hands.at_once(*[hands.keep_order] * 4)

    assert answers == [None] * 4
    assert_kept(accepted)
    assert count(select(func.count()).select_from(DeadLetter)) == 50
    assert count(select(func.count()).where(Case.assessed.is_(False))) == 50


def test_two_sweeps_ring_once(people: People) -> None:
    accepted = hands.accept(people, texts(5))
    queue.connection().flushall()

    rung = hands.at_once(*[hands.in_transaction(lambda session: schedule.sweep(session, datetime.now(UTC)))] * 2)

    assert rung == [1, 1]
    assert queue.rq_queue(Bell.BULK).count == 1
    hands.work_until_all_open()
    assert_kept(accepted)


def take(user: User, session: Session) -> str | None:
    case = review.claim_next(session, user, now=datetime.now(UTC))
    return str(case.id) if case else None


def test_two_reviewers_never_read_the_same_case(people: People) -> None:
    accepted = hands.accept(people, texts(10))
    hands.work_until_all_open()

    held = hands.at_once(
        hands.in_transaction(partial(take, people.moderator)),
        hands.in_transaction(partial(take, people.second_moderator)),
    )

    assert None not in held
    assert len(set(held)) == 2
    assert_kept(accepted)


def decide(user: User, case_id: str, session: Session) -> str:
    now = datetime.now(UTC)
    case = session.scalars(select(Case).where(Case.id == case_id)).one()
    review.decide(session, user, case.id, HARMLESS, outcome=Outcome.NO_VIOLATION, reasons="", grounds=None, now=now)
    return "decided"


@pytest.mark.parametrize("by", ["the same person twice", "somebody else too"])
def test_two_decisions_on_one_case_are_one(people: People, by: str) -> None:
    accepted = hands.accept(people, texts(1))
    hands.work_until_all_open()
    with transaction() as session:
        case = review.claim_next(session, people.moderator, now=datetime.now(UTC))
        assert case is not None
        review.judge_first(session, people.moderator, case.id, HARMLESS, now=datetime.now(UTC))
    other = people.moderator if by == "the same person twice" else people.second_moderator

    answers = hands.at_once(
        hands.in_transaction(partial(decide, people.moderator, str(case.id))),
        hands.in_transaction(partial(decide, other, str(case.id))),
    )

    assert "decided" in answers
    assert all(answer == "decided" or isinstance(answer, TriageError) for answer in answers)
    assert count(select(func.count()).select_from(Decision)) == 1
    assert_kept(accepted)
