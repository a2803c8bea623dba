"""No schedule process for an hour: work goes on by the doorbell, and one that starts again makes up for the rest."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.fault import hands
from tests.fault.promises import all_open, assert_kept, count, wait_until
from tests.people import People
from triage import audit, queue
from triage.db import Case, Post, WorkerBeat
from triage.db.session import transaction
from triage.domain.words import Lane
from triage.queue import Bell
from triage.settings import current
from workers import doctor

pytestmark = pytest.mark.fault

HOUR = timedelta(hours=1)


def an_hour_passes() -> None:
    with transaction() as session:
        session.execute(update(Post).values(created_at=Post.created_at - HOUR))
        held = Post.scoring_lease.is_not(None)
        session.execute(update(Post).where(held).values(scoring_lease_until=Post.scoring_lease_until - HOUR))
        session.execute(
            update(WorkerBeat).values(started_at=WorkerBeat.started_at - HOUR, beat_at=WorkerBeat.beat_at - HOUR)
        )


def unsealed() -> int:
    with transaction() as session:
        return audit.verify(session).unsealed_events


def test_schedule_that_comes_back_after_an_hour_makes_up_for_it(people: People, session: Session) -> None:
    now = datetime.now(UTC)
    session.add(WorkerBeat(name="schedule", host="h", pid=1, lane="schedule", started_at=now, beat_at=now))
    session.commit()
    accepted = hands.accept(people, [f"invented post number {n}" for n in range(1500)])
    dropped = hands.claim(limit=3)  # by a worker that died
    given_up = hands.claim(limit=3)  # by one that died every time
    with transaction() as writing:
        tried = Post.id.in_([one.post_id for one in given_up])
        writing.execute(update(Post).where(tried).values(scoring_attempts=current().scoring_attempts))
    unheard = hands.accept(people, ["whose bell was lost"], lane=Lane.LIVE)
    queue.connection().flushall()
    an_hour_passes()
    silent = [finding.name for finding in doctor.examine(session) if finding.ok is False]
    session.rollback()
    assert {"schedule", "stuck"} <= set(silent)

    command = [sys.executable, "-m", "workers.cli", "schedule"]
    patient = os.environ | {"TRIAGE_UNATTENDED_MINUTES": "600"}  # the workers of this test give no sign of life
    with subprocess.Popen(command, env=patient, stderr=subprocess.DEVNULL) as schedule:
        try:
            bells = (Bell.BULK, Bell.LIVE)
            wait_until(lambda: all(queue.rq_queue(bell).count == 1 for bell in bells), seconds=60, what="ringing")
            waiting = select(func.count()).where(Case.assessed.is_(False))
            wait_until(lambda: count(waiting) == len(given_up), seconds=60, what="giving up")
            wait_until(lambda: unsealed() == 0, seconds=60, what="sealing")
            hands.work_until_all_open(Lane.LIVE, Lane.BULK)
        finally:
            schedule.terminate()
            assert schedule.wait(20) == 0

    assert all_open()
    assert len(dropped) == 3
    assert_kept([*accepted, *unheard])
