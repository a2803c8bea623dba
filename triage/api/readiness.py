"""What the service can do at the moment, and why it cannot do the rest."""

from dataclasses import dataclass, field
from functools import lru_cache

from alembic.script import ScriptDirectory
from redis.exceptions import RedisError
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from triage import queue
from triage.db import migrate
from triage.db.session import engine
from triage.domain.errors import Unavailable

OK = "ok"
#: What each duty needs. Reading a case is recorded, so reviewing needs a database that can be written.
NEEDS = {"intake": ("database", "schema"), "review": ("database", "schema"), "scoring": ("database", "schema", "redis")}
WORKS, WAITS = "works", "does not work"


@dataclass(frozen=True, slots=True)
class Readiness:
    """How each part is (``ok`` or what is wrong), the reasons in words, and which duties still work."""

    parts: dict[str, str]
    reasons: list[str] = field(default_factory=list)

    @property
    def duties(self) -> dict[str, str]:
        return {
            duty: WORKS if all(self.parts[part] == OK for part in needs) else WAITS for duty, needs in NEEDS.items()
        }


def look() -> Readiness:
    """Ask the database and Redis. Takes no longer than they take to answer or to refuse."""
    found = Readiness({"database": OK, "schema": OK, "redis": OK})
    try:
        with engine().connect() as connection:
            _look_at_database(connection, found)
    except (SQLAlchemyError, Unavailable):
        found.parts["database"], found.parts["schema"] = "away", "unknown"
        found.reasons.append("The database cannot be reached: nothing can be accepted or reviewed")
    try:
        queue.connection().ping()
    except (RedisError, OSError, Unavailable):
        found.parts["redis"] = "away"
        found.reasons.append(
            "Redis cannot be reached: workers are not called. Reports are still accepted and kept, cases still "
            "reviewed; scoring goes on by itself when Redis is back"
        )
    return found


def _look_at_database(connection: Connection, found: Readiness) -> None:
    if connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
        found.parts["database"] = "read-only"
        found.reasons.append("The database is read-only: nothing can be accepted or reviewed")
    try:
        version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError:  # there is no such table: an empty database
        version = None
    if version is None or version in _older_versions():
        found.parts["schema"] = "behind"
        found.reasons.append("Migrations are missing: run `triage migrate`")


@lru_cache(maxsize=1)
def _older_versions() -> frozenset[str]:
    """Schemas that this program is too new for. One that it does not know is newer: an upgrade is under way."""
    script = ScriptDirectory.from_config(migrate.config())
    heads = script.get_heads()
    return frozenset(each.revision for each in script.walk_revisions() if each.revision not in heads)
