"""A worker killed in the middle of a batch: nothing lost, nothing scored twice, everything in front of a person."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories import report
from tests.people import People
from triage import accounts, audit, intake, queue
from triage.db import Case, Event, Post, PostScores, Report
from triage.db.session import transaction
from triage.domain.words import Lane
from triage.intake import Reporter
from triage.new_report import NewReport
from triage.queue import Bell
from workers import doctor, schedule

pytestmark = [pytest.mark.fault, pytest.mark.model]

POSTS = 200
KILLS = 3


@pytest.fixture
def worker() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts real worker processes on the bulk lane, with a short lease; kills what is left at the end."""
    started: list[subprocess.Popen[bytes]] = []
    settings = {"TRIAGE_SCORING_LEASE_SECONDS": "2", "TRIAGE_SCORING_ATTEMPTS": "9", "TRIAGE_BATCH_SIZE": "16"}

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "bulk"],
            env=os.environ | settings,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_until(true: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.005)


def counted(query: object) -> int:
    with transaction() as session:
        return session.scalar(query) or 0  # type: ignore[call-overload]


def in_mid_batch() -> bool:
    """A batch is claimed and not yet recorded."""
    return counted(select(func.count()).where(Post.scoring_lease_until > func.now())) > 0


def scored() -> int:
    return counted(select(func.count()).select_from(PostScores))


def sweep_until_all_scored() -> bool:
    """What the schedule process does every second."""
    with transaction() as session:
        schedule.sweep(session, datetime.now(UTC))
    return scored() == POSTS


def test_sigkill_in_mid_batch_loses_and_doubles_nothing(
    session: Session, people: People, worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    reports = [
        NewReport.model_validate(report(text=f"invented post number {n}, with some words")) for n in range(POSTS)
    ]
    reporter = Reporter(accounts.partner_actor(people.partner), partner=people.partner)
    with transaction() as writing:
        intake.accept_reports(writing, reporter, reports, lane=Lane.BULK, now=datetime.now(UTC))

    for _ in range(KILLS):
        before = scored()
        process = worker()
        wait_until(lambda before=before: in_mid_batch() and scored() > before, seconds=60)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
        queue.answer(Bell.BULK)  # the dead worker's bell would fall silent by itself after 30 s
    assert scored() < POSTS, "the worker was killed after its work was done; raise POSTS"
    worker()
    wait_until(sweep_until_all_scored, seconds=90)

    assert counted(select(func.count()).select_from(Report)) == POSTS
    assert counted(select(func.count()).where(Case.status == "open")) == POSTS
    assessed = select(func.count()).where(Event.kind == "case.assessed")
    assert counted(assessed) == POSTS
    session.rollback()
    audit.seal(session)
    session.commit()
    wrong = [
        finding.name for finding in doctor.examine(session) if finding.ok is False and "worker" not in finding.name
    ]
    assert wrong == []
