"""A worker that may have so much memory and no more, really: the kernel refuses it the rest.

Killed for it, it is one of ``test_worker_killed``. Here it lives, and what it cannot hold it cannot score.
"""

import pytest
from sqlalchemy import func, select

from tests.fault import hands, odd_worker
from tests.fault.odd_worker import BYTES_PER_CHARACTER
from tests.fault.promises import all_open, assert_kept, count, wait_until
from tests.people import People
from triage import assessment
from triage.db import Case, DeadLetter

pytestmark = pytest.mark.fault

SHORT = 30
#: Megabytes of addresses more than the worker has when it starts: its threads take some 300 of them. One long post
#: takes 800, the longest 1,600.
MAY_HAVE = 1_300
LONG, LONGEST = 800_000_000 // BYTES_PER_CHARACTER, 1_600_000_000 // BYTES_PER_CHARACTER


def test_batch_that_does_not_fit_is_scored_in_parts_and_what_never_fits_goes_to_a_person(people: People) -> None:
    texts = [f"invented post number {n}" for n in range(SHORT)]
    texts += [f"{n} " + "x" * LONG for n in range(6)]
    accepted = hands.accept(people, [*texts, "y" * LONGEST])

    with odd_worker.start("greedy", str(MAY_HAVE)) as worker:
        try:
            wait_until(all_open, seconds=240, what="opening all cases")
            assert worker.poll() is None, "it was to live on"
        finally:
            worker.kill()

    assert count(select(func.count()).where(Case.assessed.is_(True))) == len(texts)
    assert count(select(func.count()).where(Case.assessed.is_(False))) == 1
    assert count(select(func.count()).where(DeadLetter.reason == assessment.FAILED_ON_THIS)) == 1
    assert_kept(accepted)
