"""A new version's migration runs while workers work, and while the version before it is still there."""

import subprocess
import sys
import uuid
from threading import Event

import pytest
from alembic import command
from sqlalchemy import MetaData, func, select, text

from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.people import People
from triage.db import Post, PostScores
from triage.db.migrate import config, upgrade
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
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False, timeout=300).returncode


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


#: What the version before writes for each post: all its columns, but those that the database fills or that are its own.
_OWN = {
    "posts": {"id": ":post", "identity": "CAST(:post AS text)"},
    "cases": {"id": ":case", "post_id": ":post", "number": None},
    "reports": {"id": "uuidv7()", "case_id": ":case", "external_id": "NULL"},
    "scores": {"id": "uuidv7()", "post_id": ":post"},
    "events": {"id": None, "tx": None, "case_id": ":case"},
}
_ROW_LIKE = {"posts": "id = :like", "scores": "post_id = :like"}
_OF_ITS_CASE = "{key} = (SELECT id FROM cases WHERE post_id = :like) LIMIT 1"


def statements_of_the_version_before() -> list[str]:
    """Go back by one migration, and write what that version would send: only columns that it knows are named."""
    cfg, known = config(), MetaData()
    with engine().begin() as connection:
        cfg.attributes["connection"] = connection
        command.downgrade(cfg, "-1")
    known.reflect(engine(), only=list(_OWN))
    inserts, others = [], []
    for name, own in _OWN.items():
        columns = [column.name for column in known.tables[name].columns if own.get(column.name, "") is not None]
        values = ", ".join(own.get(column) or column for column in columns)
        where = _ROW_LIKE.get(name) or _OF_ITS_CASE.format(key="id" if name == "cases" else "case_id")
        inserts.append(f"INSERT INTO {name} ({', '.join(columns)}) SELECT {values} FROM {name} WHERE {where}")  # noqa: S608
        others.append(f"SELECT {', '.join(columns)} FROM {name} LIMIT 1")  # noqa: S608
    changed = ", ".join(f"{column.name} = {column.name}" for column in known.tables["cases"].columns)
    return [*inserts, *others, f"UPDATE cases SET {changed.replace('id = id, ', '', 1)} WHERE id = :case"]  # noqa: S608


def rows() -> dict[str, int]:
    return {name: count(text(f"SELECT count(*) FROM {name}")) for name in _OWN}  # noqa: S608


def test_the_version_before_works_while_the_newest_migration_runs(people: People) -> None:
    hands.accept(people, ["an invented post"])
    hands.work_until_all_open()
    like = count(select(Post.id))
    sent = statements_of_the_version_before()
    migrated, written, before = Event(), [], rows()

    def work() -> None:
        after = 20  # so many more when the migration is through
        while after:
            after -= migrated.is_set()
            row = {"post": uuid.uuid4(), "case": uuid.uuid4(), "like": like}
            with engine().begin() as connection:
                for statement in sent:
                    connection.execute(text(statement), row)
            written.append(row["post"])

    def migrate_then_tell() -> None:
        try:
            while len(written) < 20:
                pass
            upgrade()
        finally:
            migrated.set()

    assert hands.at_once(work, work, migrate_then_tell) == [None, None, None]
    assert rows() == {name: number + len(written) for name, number in before.items()}
