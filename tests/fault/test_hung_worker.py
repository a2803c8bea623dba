"""A worker that hangs in one batch is ended, by itself or by the supervisor, and its work goes to another."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from triage.db import WorkerBeat
from workers import beats
from workers.embedded import EmbeddedServers

pytestmark = pytest.mark.fault

HANG = """
import time
from workers import beats
with beats.beating("worker-live", "live"), beats.busy():
    time.sleep(120)
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


@pytest.mark.parametrize(
    ("beat_ago", "busy_ago", "hung"),
    [(1, None, False), (1, 60, False), (1, 121, True), (119, None, False), (121, None, True)],
)
def test_what_the_supervisor_takes_for_hung(session: Session, beat_ago: int, busy_ago: int | None, hung: bool) -> None:
    session.add(
        WorkerBeat(
            name="worker-live",
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
