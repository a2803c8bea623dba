"""A model that fails on everything: the waits between attempts grow, there is no storm, and there is an end."""

import json
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from typer.testing import CliRunner

from tests.fault import hands, odd_worker
from tests.fault.promises import all_open, assert_kept, count, wait_until
from tests.people import People
from triage.db import Case, DeadLetter, Post
from triage.db.session import transaction
from triage.settings import current
from workers.cli import app

pytestmark = pytest.mark.fault

POSTS, BATCH = 40, 16


def test_retries_are_no_storm_and_come_to_an_end(people: People, tmp_path: Path) -> None:
    accepted = hands.accept(people, [f"invented post number {n}" for n in range(POSTS)])
    diary = tmp_path / "diary"

    schedule = [sys.executable, "-m", "workers.cli", "schedule"]
    with (
        odd_worker.start("broken", str(diary), batch_size=str(BATCH)) as worker,
        subprocess.Popen(schedule, stderr=subprocess.DEVNULL) as sweeping,
    ):
        try:
            wait_until(all_open, seconds=240, what="giving up")
        finally:
            worker.kill()
            sweeping.kill()

    alone: dict[str, list[float]] = defaultdict(list)
    calls = [json.loads(line) for line in diary.read_text().splitlines()]
    for at, size, first in calls:
        if size == 1:
            alone[first].append(at)
    attempts = {post: times for post, times in alone.items() if post.startswith("invented")}
    assert {len(times) for times in attempts.values()} == {current().scoring_attempts}
    seconds = current().scoring_retry_seconds  # a half of it is the least, and four times as long the next time
    for times in attempts.values():
        first, second = [later - earlier for earlier, later in pairwise(times)]
        assert first > seconds / 2
        assert second > 4 * seconds / 2
    # A batch by halves, and a plain text to see whether it is the model or the posts; however often the bell rang.
    assert len(calls) <= 2 * POSTS * current().scoring_attempts
    assert count(select(func.count()).where(Case.assessed.is_(False))) == POSTS
    assert count(select(func.count()).select_from(DeadLetter)) == POSTS
    assert_kept(accepted)


def test_what_was_given_up_is_tried_again_when_a_person_says_so(people: People) -> None:
    accepted = hands.accept(people, ["one", "two"])
    hands.claim()
    with transaction() as session:
        session.execute(text("UPDATE posts SET scoring_attempts = 3, scoring_lease_until = now() - interval '1 hour'"))
    hands.keep_order()
    assert count(select(func.count()).select_from(DeadLetter)) == 2
    assert_kept(accepted)

    done = CliRunner().invoke(app, ["dead", "retry", "--all"])
    hands.work()

    assert (done.exit_code, done.output) == (0, "2 to be tried again\n")
    assert count(select(func.count()).where(Case.assessed.is_(True), Case.status == "open")) == 2
    assert count(select(func.count()).where(Post.scoring == "done")) == 2
