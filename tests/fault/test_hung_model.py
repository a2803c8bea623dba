"""A model that hangs in one post: the worker ends, is started again, and only that post goes to a person unread."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from tests.fault import hands, odd_worker
from tests.fault.odd_worker import POISON
from tests.fault.promises import all_open, assert_kept, count
from tests.people import People
from triage.db import Case, DeadLetter
from triage.db.session import transaction
from workers import beats, schedule

pytestmark = pytest.mark.fault

POSTS = 20


def run_worker_until_it_ends() -> int:
    """By itself, because it hangs; or because everything is done."""
    with odd_worker.start("hanging", hung_after_seconds="5", scoring_attempts="2") as worker:
        try:
            while worker.poll() is None and not all_open():
                for task in (schedule.sweep, schedule.give_up):
                    with transaction() as session:
                        task(session, datetime.now(UTC))
        finally:
            worker.kill()
        return worker.wait()


def test_post_that_hangs_the_model_goes_to_a_person_and_takes_no_other_with_it(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule.assessment.current(), "scoring_attempts", 2)
    texts = [f"invented post number {n}" for n in range(POSTS)]
    accepted = hands.accept(people, [*texts, f"a post about {POISON}"])

    ends = []
    while not all_open():
        ends.append(run_worker_until_it_ends())
        assert len(ends) < 6, ends

    assert ends[:2] == [beats.HUNG, beats.HUNG]
    assert count(select(func.count()).where(Case.assessed.is_(True))) == POSTS
    assert count(select(func.count()).where(Case.assessed.is_(False), Case.status == "open")) == 1
    assert count(select(func.count()).select_from(DeadLetter)) == 1
    assert_kept(accepted)
