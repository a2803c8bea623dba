"""A worker killed before, during and after a batch, for memory or by hand, and then two at once: nothing is lost."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from tests.fault import hands
from tests.fault.promises import assert_kept, count, wait_until
from tests.fault.service import worker as start_worker
from tests.people import People
from triage.db import Case, Post, PostScores
from triage.db.session import engine, transaction
from workers import schedule

pytestmark = [pytest.mark.fault, pytest.mark.model]

POSTS = 300
BATCH = 16


@pytest.fixture
def worker() -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts real worker processes on the bulk lane; kills what is left at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(start_worker("bulk", scoring_lease_seconds="2", scoring_attempts="9", batch_size=str(BATCH)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def in_mid_batch() -> bool:
    """A batch is claimed and not yet recorded."""
    return count(select(func.count()).where(Post.scoring_lease_until > func.now())) > 0


def scored() -> int:
    return count(select(func.count()).select_from(PostScores))


def somebody_waits() -> bool:
    """For the table that the test has locked."""
    return count(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) > 0


def swept_and_all_scored() -> bool:
    """What the schedule process does every second."""
    with transaction() as session:
        schedule.sweep(session, datetime.now(UTC))
    return scored() == POSTS


def killed(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)  # as the kernel does where memory runs out
    assert process.wait() == -signal.SIGKILL


def kill_before_a_batch(process: "subprocess.Popen[bytes]") -> None:
    """It has answered the bell, and asks for posts that it cannot have yet."""
    with engine().begin() as blocking:
        blocking.execute(text("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE"))
        wait_until(somebody_waits, seconds=120, what="a claim")
        killed(process)


def kill_during_a_batch(process: "subprocess.Popen[bytes]") -> None:
    """It has claimed a batch, and scores."""
    wait_until(in_mid_batch, seconds=120, what="a batch")
    killed(process)


def kill_after_a_batch(process: "subprocess.Popen[bytes]") -> None:
    """It has recorded a batch, in a transaction that nobody has committed; and another one, which is committed."""
    before = scored()
    wait_until(lambda: scored() > before, seconds=120, what="a scored batch")
    with engine().begin() as blocking:
        blocking.execute(text("LOCK TABLE events IN EXCLUSIVE MODE"))  # written last
        wait_until(somebody_waits, seconds=60, what="a record")
        killed(process)


def test_worker_killed_before_during_and_after_a_batch(
    people: People, worker: Callable[[], "subprocess.Popen[bytes]"]
) -> None:
    accepted = hands.accept(people, [f"invented post number {n}, with some words" for n in range(POSTS)])

    for kill in (kill_before_a_batch, kill_during_a_batch, kill_after_a_batch):
        kill(worker())
    assert scored() < POSTS, "the worker was killed after its work was done; raise POSTS"
    worker(), worker()
    wait_until(swept_and_all_scored, seconds=180, what="scoring everything")

    assert_kept(accepted)
    assert count(select(func.count()).where(Case.assessed.is_(True))) == POSTS
