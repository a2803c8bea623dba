"""A worker that hangs in one batch is ended, by itself or by the supervisor, and its work goes to another."""

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from triage.db import WorkerBeat
from workers import beats, up
from workers.embedded import EmbeddedServers

pytestmark = pytest.mark.fault

HANG = """
import time
from workers import beats
with beats.beating("worker-live", "live"), beats.busy():
    time.sleep(120)
"""
BEAT = """
import sys
from workers import beats
with beats.beating("worker-bulk", "bulk"):
    print("beats", flush=True)
    sys.stdin.read()
"""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_worker_that_hangs_ends_itself(database: EmbeddedServers) -> None:
    hung = subprocess.run(
        [sys.executable, "-c", HANG],
        env=os.environ | {"TRIAGE_HUNG_AFTER_SECONDS": "5"},
        timeout=60,
        check=False,
        capture_output=True,
    )

    assert hung.returncode == beats.HUNG


def test_worker_that_hangs_ends_itself_though_the_database_keeps_its_beat_waiting(session: Session) -> None:
    session.execute(text("LOCK TABLE worker_beats"))

    hung = subprocess.run(
        [sys.executable, "-c", HANG],
        env=os.environ | {"TRIAGE_HUNG_AFTER_SECONDS": "5"},
        timeout=60,
        check=False,
        capture_output=True,
    )

    assert hung.returncode == beats.HUNG


def test_two_workers_of_one_name_beat_apart(session: Session) -> None:
    """As in containers, where both may even have the same process id."""
    session.add(
        WorkerBeat(name="worker-bulk", host="another", pid=os.getpid(), lane="bulk", started_at=NOW, beat_at=NOW)
    )
    session.commit()

    with (
        beats.beating("worker-bulk", "bulk"),
        subprocess.Popen([sys.executable, "-c", BEAT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
    ):
        wait_for(session, 3)
        assert beats.is_hung(session, "worker-bulk", os.getpid(), now=datetime.now(UTC)) is False
        assert beats.is_hung(session, "worker-bulk", other.pid, now=datetime.now(UTC) + timedelta(hours=1)) is True
        session.rollback()
        other.communicate(b"")
        wait_for(session, 2)

    assert session.scalars(select(WorkerBeat.host)).all() == ["another"]


def wait_for(session: Session, beating: int) -> None:
    deadline = time.monotonic() + 20
    while session.scalar(select(func.count()).select_from(WorkerBeat)) != beating:
        assert time.monotonic() < deadline, f"there are not {beating} beats"
        session.rollback()
        time.sleep(0.05)


def test_worker_that_could_not_beat_while_the_database_was_away_is_not_killed(
    database: EmbeddedServers, session: Session
) -> None:
    now = NOW
    heartbeats = up.Heartbeats(database.database_url, clock=lambda: now)
    long_ago = NOW - timedelta(minutes=10)
    session.add(
        WorkerBeat(
            name="worker-live", host=socket.gethostname(), lane="live", pid=7, started_at=long_ago, beat_at=long_ago
        )
    )
    session.commit()
    answers = []
    try:
        for seconds in (0, 29, 31):  # silence counts only some time after the first answer
            now = NOW + timedelta(seconds=seconds)
            answers.append(heartbeats.is_hung("worker-live", 7))
        session.execute(text("LOCK TABLE worker_beats"))  # the database is away
        answers.append(heartbeats.is_hung("worker-live", 7))
        session.rollback()
        for seconds in (40, 69, 71):  # and again after every outage
            now = NOW + timedelta(seconds=seconds)
            answers.append(heartbeats.is_hung("worker-live", 7))
        for seconds in (200, 229, 231):  # and after a gap: this machine slept, and everybody on it
            now = NOW + timedelta(seconds=seconds)
            answers.append(heartbeats.is_hung("worker-live", 7))
    finally:
        heartbeats.close()

    assert answers == [False, False, True, False, False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("beat_ago", "busy_ago", "hung"),
    [(1, None, False), (1, 60, False), (1, 121, True), (119, None, False), (121, None, True)],
)
def test_what_the_supervisor_takes_for_hung(session: Session, beat_ago: int, busy_ago: int | None, hung: bool) -> None:
    session.add(
        WorkerBeat(
            name="worker-live",
            host=socket.gethostname(),
            lane="live",
            pid=7,
            started_at=NOW - timedelta(hours=1),
            beat_at=NOW - timedelta(seconds=beat_ago),
            busy_since=None if busy_ago is None else NOW - timedelta(seconds=busy_ago),
        )
    )
    session.flush()

    assert beats.is_hung(session, "worker-live", 7, now=NOW) is hung


def test_worker_that_still_loads_its_model_is_not_hung(session: Session) -> None:
    assert not beats.is_hung(session, "worker-live", 8, now=NOW)
