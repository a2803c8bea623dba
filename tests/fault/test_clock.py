"""Clocks that are put forward or back: work is neither lost nor done twice, and does not wait for the old time.

Nobody here may set the machine's clock. What a step leaves behind is the same as rows with times of another hour:
leases that end in two hours are those of a clock since put back, and leases that have ended early of one put forward.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from annotations import review
from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.people import People
from triage import audit, capture, deps, leases
from triage.db import Capture, Case, DeadLetter, Event, EventSeal, Post, clock
from triage.db.session import transaction
from triage.domain.words import ActorKind, Operation
from triage.settings import current
from workers import schedule

pytestmark = pytest.mark.fault

HOURS = timedelta(hours=2)
#: A worker whose wall clock jumps two hours while it is busy with a batch of four seconds.
BUSY_WHILE_THE_CLOCK_STEPS = """
import sys, time
from datetime import datetime, timedelta
from workers import beats

class Stepped(datetime):
    step = timedelta(0)
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + cls.step

beats.datetime = Stepped
with beats.beating("worker-bulk", "bulk"), beats.busy():
    Stepped.step = timedelta(hours=float(sys.argv[1]))
    time.sleep(float(sys.argv[2]))
"""


def lease_ends_in(length: timedelta) -> None:
    with transaction() as session:
        held = Post.scoring_lease.is_not(None)
        session.execute(update(Post).where(held).values(scoring_lease_until=func.now() + length))


def test_post_of_a_dead_worker_does_not_wait_for_the_old_time(people: People) -> None:
    accepted = hands.accept(people, ["one", "two", "three"])
    hands.claim()
    lease_ends_in(HOURS)

    with transaction() as session:
        assert schedule.sweep(session, datetime.now(UTC)) == 1
    hands.work_until_all_open()

    assert_kept(accepted)


def test_post_tried_too_often_is_given_up_all_the_same(people: People) -> None:
    accepted = hands.accept(people, ["one"])
    hands.claim()
    lease_ends_in(HOURS)
    with transaction() as session:
        session.execute(update(Post).values(scoring_attempts=current().scoring_attempts))

    hands.keep_order()

    assert count(select(func.count()).select_from(DeadLetter)) == 1
    assert_kept(accepted)


def test_lease_that_a_step_forward_ended_early_changes_nothing_but_who_records(people: People) -> None:
    accepted = hands.accept(people, ["one", "two"])
    slow = hands.claim()
    lease_ends_in(-HOURS)
    quick = [one for _ in range(2) for one in hands.claim(limit=1, retry=True)]

    assert (hands.record(slow), hands.record(quick)) == (0, 2)
    assert_kept(accepted)


def test_lease_within_its_time_is_respected(people: People) -> None:
    """The mending of steps must not take a post from a worker that lives."""
    hands.accept(people, ["one"])
    hands.claim(lease_seconds=current().scoring_lease_seconds)

    assert hands.claim(retry=True) == []


@pytest.mark.parametrize("hours", [2, -2], ids=["ahead", "behind"])
def test_reviewers_lease_is_the_same_on_a_host_with_another_clock(
    people: People, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stepped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=hours)

    hands.accept(people, ["one"])
    hands.work_until_all_open()
    clock.forget()
    monkeypatch.setattr(clock, "datetime", Stepped)

    with transaction() as session:
        review.claim_next(session, people.moderator, now=deps.get_now())

    with transaction() as session:
        left = session.scalars(select(Case.lease_until - func.now()).where(Case.lease_user_id.is_not(None))).one()
    assert abs(left - timedelta(minutes=current().lease_minutes)) < timedelta(minutes=1)


def test_reviewers_lease_of_a_time_that_is_over_ends_in_good_time(people: People) -> None:
    """The database's clock was put back: the case would be nobody else's for two hours."""
    accepted = hands.accept(people, ["one", "two"])
    hands.work_until_all_open()
    with transaction() as session:
        for reviewer in (people.moderator, people.second_moderator):
            review.claim_next(session, reviewer, now=clock.now())
        stepped = Case.lease_user_id == people.moderator.id
        session.execute(update(Case).where(stepped).values(lease_until=func.now() + HOURS))

    with transaction() as session:
        assert (leases.shorten(session), leases.shorten(session)) == (1, 0)

    with transaction() as session:
        held = review.holds(session, people.moderator, now=clock.now())
        assert held is not None, "whoever reads it keeps it till then"
        later = clock.now() + timedelta(minutes=current().lease_minutes + 1)
        assert review.claim(session, people.second_moderator, held.id, now=later).id == held.id
    assert_kept(accepted)


def test_capture_does_not_wait_for_the_old_time(session: Session, people: People) -> None:
    now = datetime.now(UTC)
    session.add(Post(identity="p", platform="chirper", url="https://chirper.example/p", lane="live", scoring="no_text"))
    session.flush()
    post_id = session.scalars(select(Post.id)).one()
    session.add(Capture(post_id=post_id, url="https://chirper.example/p", status="wanted", not_before=now + HOURS))
    session.flush()
    assert capture.has_work(session, now=now)
    session.execute(update(Capture).values(not_before=None, lease_until=now + HOURS))
    assert capture.has_work(session, now=now)
    session.execute(update(Capture).values(lease_until=now + timedelta(seconds=50)))
    assert not capture.has_work(session, now=now)


def test_events_of_an_earlier_time_are_sealed_in_the_order_of_their_transactions(people: People) -> None:
    accepted = hands.accept(people, ["one", "two"])
    for at in (HOURS, -HOURS, timedelta(0)):
        with transaction() as session:
            session.add(
                Event(
                    at=datetime.now(UTC) + at,
                    actor_kind=str(ActorKind.SYSTEM),
                    actor_id="tests",
                    operation=str(Operation.CONSULTATION),
                    kind="clock.stepped",
                    object_type="clock",
                    object_id="1",
                    data={},
                )
            )
        with transaction() as session:
            audit.seal(session)
    hands.work_until_all_open()

    assert_kept(accepted)
    assert count(select(func.count()).select_from(EventSeal)) > 3


def work_while_the_clock_steps(hours: int, *, seconds: int) -> int:
    return subprocess.run(
        [sys.executable, "-c", BUSY_WHILE_THE_CLOCK_STEPS, str(hours), str(seconds)],
        env=os.environ | {"TRIAGE_HUNG_AFTER_SECONDS": "6"},
        timeout=60,
        check=False,
        stderr=subprocess.DEVNULL,
    ).returncode


@pytest.mark.parametrize(("hours", "seconds", "status"), [(2, 3, 0), (-2, 20, 75)])
def test_worker_is_hung_by_its_own_count_of_seconds(people: People, hours: int, seconds: int, status: int) -> None:
    """A clock put forward ends no worker that works; one put back spares none that hangs."""
    assert work_while_the_clock_steps(hours, seconds=seconds) == status
