"""A lane that nobody scores: its cases go to a person meanwhile, and are scored when somebody is back."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from annotations import desk, review
from annotations.review import View
from tests.factories import scores
from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.people import People
from triage import attendance
from triage.db import Case, Decision, Judgement, Post, WorkerBeat
from triage.db.session import transaction
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target
from triage.domain.words import Lane
from workers import doctor, schedule

pytestmark = pytest.mark.fault

HARMLESS = View(("BEN",), SpeechAct.UNCLEAR, Target.NONE, Imminence.UNSPECIFIED)


def waited(minutes: float) -> None:
    """Every post has waited so long."""
    with transaction() as session:
        session.execute(update(Post).values(created_at=func.now() - timedelta(minutes=minutes)))


def a_worker_lives(lane: Lane, *, seen_seconds_ago: float = 0) -> None:
    now = datetime.now(UTC)
    seen = now - timedelta(seconds=seen_seconds_ago)
    beat = WorkerBeat(name=f"w-{lane}", host="h", pid=1, lane=str(lane), started_at=now, beat_at=now, seen_at=seen)
    with transaction() as session:
        session.merge(beat)


def opened() -> int:
    """How many cases the schedule opens now."""
    with transaction() as session:
        return schedule.open_unattended(session, datetime.now(UTC))


@pytest.mark.parametrize(
    ("lane", "too_soon", "late"), [(Lane.URGENT, 1.9, 2.1), (Lane.LIVE, 14.9, 15.1), (Lane.BULK, 14.9, 15.1)]
)
def test_case_goes_to_a_person_after_minutes_without_a_worker(
    people: People, lane: Lane, too_soon: float, late: float
) -> None:
    accepted = hands.accept(people, ["one", "two"], lane=lane)
    waited(too_soon)
    assert opened() == 0

    waited(late)

    assert (opened(), opened()) == (2, 0)
    assert count(select(func.count()).where(Case.status == "open", Case.assessed.is_(False))) == 2
    assert_kept(accepted)


def test_four_schedules_open_each_case_once(people: People) -> None:
    accepted = hands.accept(people, [f"invented post number {n}" for n in range(60)], lane=Lane.LIVE)
    waited(20)

    answers = hands.at_once(*[opened] * 4)

    assert sum(number for number in answers if isinstance(number, int)) == 60, answers
    assert_kept(accepted)


def test_worker_that_comes_back_scores_what_was_opened_meanwhile(people: People) -> None:
    accepted = hands.accept(people, ["one", "two"], lane=Lane.LIVE)
    waited(20)
    opened()

    hands.work(Lane.LIVE)

    assert opened() == 0
    assert count(select(func.count()).where(Case.status == "open", Case.assessed.is_(True), Case.tier == "P1")) == 2
    assert count(select(func.count()).where(Post.scoring == "done")) == 2
    assert_kept(accepted)


def test_scores_that_come_late_lose_nothing_that_a_person_did(people: People, session: Session) -> None:
    """One has judged and not yet decided, of another case the decision stands."""
    accepted = hands.accept(people, ["one", "two"], lane=Lane.LIVE)
    waited(20)
    opened()
    now = datetime.now(UTC)
    held, decided = (review.claim_next(session, who, now=now) for who in (people.moderator, people.second_moderator))
    assert held is not None
    assert decided is not None
    for who, case in ((people.moderator, held), (people.second_moderator, decided)):
        review.judge_first(session, who, case.id, HARMLESS, now=now)
    harmless = {"outcome": Outcome.NO_VIOLATION, "reasons": "", "grounds": None, "now": now}
    review.decide(session, people.second_moderator, decided.id, HARMLESS, **harmless)
    session.commit()

    hands.record(hands.claim(Lane.LIVE), scores(review=0.9, TTL=0.9))

    session.expire_all()
    assert (decided.status, decided.outcome, decided.assessed) == ("decided", "no_violation", True)
    assert (held.status, held.lease_user_id, held.assessed) == ("open", people.moderator.id, True)
    shown = desk.read_opinions(session, people.moderator, held).machine
    assert shown is not None
    assert shown.assessed
    review.decide(session, people.moderator, held.id, HARMLESS, **harmless)
    session.commit()
    assert count(select(func.count()).select_from(Decision)) == 2
    assert count(select(func.count()).select_from(Judgement)) == 4
    assert_kept(accepted)


def test_lane_whose_worker_lives_waits_its_turn(people: People) -> None:
    """However long its queue is: a worker that is slow is not one that is gone."""
    hands.accept(people, ["one"], lane=Lane.LIVE)
    waited(60)
    a_worker_lives(Lane.LIVE)
    assert opened() == 0

    a_worker_lives(Lane.LIVE, seen_seconds_ago=31)
    assert opened() == 1


def test_import_whose_workers_are_gone_does_not_bury_the_queue(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "MOST_OF_BULK", 5)
    monkeypatch.setattr(attendance, "AT_ONCE", 3)
    accepted = hands.accept(people, [f"invented post number {n}" for n in range(8)])
    urgent = hands.accept(people, ["urgent"], lane=Lane.URGENT, urgent=True)
    waited(20)

    assert (opened(), opened(), opened()) == (4, 2, 0)

    with transaction() as session:  # somebody reads one and decides, so the next one comes
        now = datetime.now(UTC)
        bulk = select(Case.id).join(Post, Post.id == Case.post_id).where(Post.lane == "bulk", Case.status == "open")
        case = review.claim(session, people.moderator, session.scalars(bulk.limit(1)).one(), now=now)
        review.judge_first(session, people.moderator, case.id, HARMLESS, now=now)
        review.decide(
            session,
            people.moderator,
            case.id,
            HARMLESS,
            outcome=Outcome.NO_VIOLATION,
            reasons="",
            grounds=None,
            now=now,
        )
    assert opened() == 1
    hands.work_until_all_open()
    hands.work(Lane.BULK), hands.work(Lane.URGENT)
    assert_kept(accepted + urgent)


def test_doctor_and_readiness_name_the_lane(people: People, client: TestClient, session: Session) -> None:
    def ready() -> tuple[int, str, list[str], dict[str, str]]:
        answer = client.get("/ready")
        said = answer.json()
        return answer.status_code, said["workers"], said["reasons"], said["duties"]

    assert ready()[:2] == (200, "ok")
    hands.accept(people, ["one"], lane=Lane.LIVE)
    assert ready()[:2] == (200, "ok")  # a worker may be on its way
    waited(3)
    a_worker_lives(Lane.BULK)

    status, workers, reasons, duties = ready()
    page = {finding.name: finding for finding in doctor.examine(session)}["lanes with posts and no worker"]

    assert (status, workers) == (503, "none for live")
    assert duties == {"intake": "works", "review": "works", "scoring": "does not work"}
    assert "`triage worker live`" in reasons[0]
    assert (page.value, page.ok) == ("live", False)
    assert client.get("/ready?duty=intake").status_code == 200
