"""A new version's migration runs while workers work."""

import subprocess
import sys

import pytest
from sqlalchemy import func, select, text

from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.people import People
from triage.db import PostScores
from triage.db.session import engine

pytestmark = pytest.mark.fault

#: What a later version may do: new columns, an index, and a column of another type, which breaks plans that are kept.
_LATER_VERSION = (
    "SET LOCAL lock_timeout = '20s'",
    "ALTER TABLE posts ADD COLUMN later text",
    "ALTER TABLE cases ADD COLUMN later integer NOT NULL DEFAULT 0",
    "CREATE INDEX ix_scores_later ON scores (scored_at)",
    "ALTER TABLE posts ALTER COLUMN text TYPE varchar(100000)",
)
_BACK = (
    "ALTER TABLE posts ALTER COLUMN text TYPE text",
    "ALTER TABLE posts DROP COLUMN later",
    "ALTER TABLE cases DROP COLUMN later",
    "DROP INDEX ix_scores_later",
)


def migrate() -> int:
    """`triage migrate`, as each host of a deployment runs it."""
    command = [sys.executable, "-m", "workers.cli", "migrate"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False, timeout=60).returncode


def migrate_in_mid_work() -> None:
    """Once some batches are through, so that the workers' connections have plans to lose."""
    while count(select(func.count()).select_from(PostScores)) < 100:
        pass
    for statements in (_LATER_VERSION, _BACK):
        with engine().begin() as connection:
            for statement in statements:
                connection.execute(text(statement))


def test_migration_while_workers_run(people: People) -> None:
    accepted = hands.accept(people, [f"invented post number {n}" for n in range(400)])

    worker = hands.work_until_all_open
    *broken, migrated, one_host, another = hands.at_once(worker, worker, migrate_in_mid_work, migrate, migrate)

    assert (migrated, one_host, another) == (None, 0, 0)
    assert [answer for answer in broken if isinstance(answer, Exception)] == []
    assert_kept(accepted)
