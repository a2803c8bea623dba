"""Who gets which case, and for how long."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from annotations import review
from tests import factories
from tests.people import People
from triage import accounts, intake
from triage.db import Event
from triage.db.session import session_factory, transaction
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, LeaseLost
from triage.intake import Reporter
from triage.new_report import NewReport
from triage.settings import current

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=current().lease_minutes, seconds=1)


def test_claims_follow_tier_then_deadline_then_risk(session: Session, people: People) -> None:
    low = factories.open_case(session, people, factories.scores(), now=NOW, text="about the weather")
    late = factories.open_case(session, people, now=NOW, text="second by risk")
    risky = factories.open_case(session, people, factories.scores(review=0.9, TTL=0.99), now=NOW, text="first by risk")
    late.deadline_at = risky.deadline_at  # the same band and deadline, so that risk decides
    session.commit()

    taken = []
    for _ in range(3):
        case = review.claim_next(session, people.moderator, now=NOW)
        assert case is not None
        taken.append(case.id)
        review.pass_case(session, people.moderator, case.id, now=NOW)

    assert taken == [risky.id, late.id, low.id]


def test_two_claimers_at_once_get_different_cases(session: Session, people: People) -> None:
    """Both transactions are open at the same time: the second skips the row that the first has locked."""
    for words in ("one", "two"):
        factories.open_case(session, people, text=words)

    with session_factory().begin() as first, session_factory().begin() as second:
        mine = review.claim_next(first, people.moderator, now=NOW)
        yours = review.claim_next(second, people.second_moderator, now=NOW)

        assert mine is not None
        assert yours is not None
        assert mine.id != yours.id


def test_crowd_shares_cases_without_sharing_one(session: Session, people: People) -> None:
    for number in range(12):
        factories.open_case(session, people, text=f"post {number}")
    taken: dict[str, list[uuid.UUID]] = {"morgan": [], "sasha": []}

    def work(user: object, name: str) -> None:
        for _ in range(6):
            with transaction() as own:
                case = review.claim_next(own, user, now=NOW)  # type: ignore[arg-type]
                assert case is not None
                taken[name].append(case.id)
            with transaction() as own:
                review.pass_case(own, user, case.id, now=NOW)  # type: ignore[arg-type]
                case.lease_until = None

    people_at_work = [(people.moderator, "morgan"), (people.second_moderator, "sasha")]
    threads = [threading.Thread(target=work, args=args) for args in people_at_work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert [len(set(cases)) for cases in taken.values()] == [6, 6]


def test_asking_again_goes_on_with_the_case_in_hand(session: Session, people: People) -> None:
    factories.open_case(session, people, text="one")
    factories.open_case(session, people, text="two")

    first = review.claim_next(session, people.moderator, now=NOW)
    again = review.claim_next(session, people.moderator, now=NOW)

    assert first is again


def test_expired_lease_lets_another_in(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    review.claim_next(session, people.moderator, now=NOW)

    assert review.claim_next(session, people.second_moderator, now=NOW) is None
    assert review.claim_next(session, people.second_moderator, now=LATER) is case


def test_extended_lease_keeps_another_out(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    review.claim_next(session, people.moderator, now=NOW)

    review.extend(session, people.moderator, case.id, now=NOW + timedelta(minutes=10))

    assert review.claim_next(session, people.second_moderator, now=LATER) is None


def test_own_submission_is_never_offered(session: Session, people: People) -> None:
    analyst_who_reviews = people.analyst
    analyst_who_reviews.roles = ["analyst", "moderator"]
    reporter = Reporter(accounts.actor_of(analyst_who_reviews), user_id=analyst_who_reviews.id)
    case = factories.open_case(session, people, text="the same post")
    intake.accept_report(session, reporter, NewReport.model_validate(factories.report(text="the same post")), now=NOW)
    session.commit()

    assert review.claim_next(session, analyst_who_reviews, now=NOW) is None
    with pytest.raises(Forbidden, match="submitted"):
        review.claim(session, analyst_who_reviews, case.id, now=NOW)
    assert review.claim_next(session, people.moderator, now=NOW) is not None


def test_passed_case_comes_to_others_only(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    review.claim_next(session, people.moderator, now=NOW)

    review.pass_case(session, people.moderator, case.id, now=NOW)

    assert review.claim_next(session, people.moderator, now=NOW) is None
    assert review.claim_next(session, people.second_moderator, now=NOW) is case


def test_released_case_may_come_back(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    review.claim_next(session, people.moderator, now=NOW)

    review.release(session, people.moderator, case.id, now=NOW)

    assert case.lease_user_id is None
    assert review.claim_next(session, people.moderator, now=NOW) is case


def test_one_person_reads_one_case_at_a_time(session: Session, people: People) -> None:
    first = factories.open_case(session, people, text="one")
    second = factories.open_case(session, people, text="two")
    review.claim(session, people.moderator, first.id, now=NOW)

    with pytest.raises(Conflict, match=str(first.number)):
        review.claim(session, people.moderator, second.id, now=NOW)
    with pytest.raises(Conflict, match="Somebody else"):
        review.claim(session, people.second_moderator, first.id, now=NOW)


def test_waiting_case_cannot_be_claimed(session: Session, people: People) -> None:
    accepted = factories.accept(session, people)

    with pytest.raises(IllegalTransition):
        review.claim(session, people.moderator, accepted.case_id, now=NOW)


@pytest.mark.parametrize("who", ["outsider", "analyst", "approver"])
def test_only_moderators_claim(session: Session, people: People, who: str) -> None:
    factories.open_case(session, people)

    with pytest.raises(Forbidden):
        review.claim_next(session, getattr(people, who), now=NOW)


def test_reading_is_an_event_and_needs_the_lease(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    review.claim_next(session, people.moderator, now=NOW)

    review.read_case(session, people.moderator, case.id, now=NOW)
    with pytest.raises(LeaseLost):
        review.read_case(session, people.second_moderator, case.id, now=NOW)

    readings = session.scalars(select(Event).where(Event.kind == "case.read")).all()
    assert [(event.operation, event.actor_id, event.case_id) for event in readings] == [
        ("consultation", str(people.moderator.id), case.id)
    ]
