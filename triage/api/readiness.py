"""What the service can do at the moment, and why it cannot do the rest."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

from alembic.script import ScriptDirectory
from redis.exceptions import RedisError
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Session

from triage import attendance, queue
from triage.db import migrate
from triage.db.session import engine
from triage.domain.errors import Unavailable

OK = "ok"
#: What each duty needs. Reading a case is recorded, so reviewing needs a database that can be written.
NEEDS = {
    "intake": ("database", "schema"),
    "review": ("database", "schema"),
    "scoring": ("database", "schema", "redis", "workers"),
}
WORKS, WAITS = "works", "does not work"
#: So long the database is waited for. A probe that hangs with it would say nothing.
_PATIENCE_SECONDS = 2.0

Answer = TypeVar("Answer")


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


class Question(Generic[Answer]):
    """A question to a server that may neither answer nor refuse.

    It is asked in a thread of its own, by one at a time: whoever comes meanwhile waits for the same answer. So a server
    that hangs costs one thread and one connection, however often it is asked for.
    """

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._turn = threading.Lock()
        self._asked: Future[Answer] | None = None

    def answer(self) -> Answer | None:
        """The answer, or ``None`` where there is none in time."""
        with self._turn:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=self._wait, args=(self._asked,), name="question", daemon=True).start()
            asked = self._asked
        try:
            return asked.result(_PATIENCE_SECONDS)
        except TimeoutError:
            return None

    def _wait(self, asked: "Future[Answer]") -> None:
        try:
            asked.set_result(self._ask())
        except Exception as error:  # noqa: BLE001 -- it is raised where somebody waits for the answer
            asked.set_exception(error)


def look() -> Readiness:
    """Ask the database and Redis. Takes a few seconds at most, also where they hang."""
    database = _database.answer()
    if database is None:
        database = _no_database("does not answer", "The database does not answer: it hangs, or the way to it does")
    found = Readiness(database.parts | {"redis": OK}, list(database.reasons))
    try:
        queue.connection().ping()
    except (RedisError, OSError, Unavailable):
        found.parts["redis"] = "away"
        found.reasons.append(
            "Redis cannot be reached: workers are not called. Reports are still accepted and kept, cases still "
            "reviewed; scoring goes on by itself when Redis is back"
        )
    return found


def _no_database(how: str, why: str) -> Readiness:
    parts = {"database": how, "schema": "unknown", "workers": "unknown"}
    return Readiness(parts, [f"{why}: nothing can be accepted or reviewed"])


def _ask_database() -> Readiness:
    found = Readiness({"database": OK, "schema": OK, "workers": OK})
    try:
        with engine().connect() as connection:
            _look_at_database(connection, found)
            if found.parts["schema"] == OK:
                _look_for_workers(connection, found)
    except (SQLAlchemyError, Unavailable):
        return _no_database("away", "The database cannot be reached")
    return found


_database = Question(_ask_database)


def _look_at_database(connection: Connection, found: Readiness) -> None:
    if connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
        found.parts["database"] = "read-only"
        found.reasons.append("The database is read-only: nothing can be accepted or reviewed")
    try:
        version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError:  # there is no such table: an empty database
        version = None
    if version is None or version in _older_versions():
        found.parts["schema"], found.parts["workers"] = "behind", "unknown"
        found.reasons.append("Migrations are missing: run `triage migrate`")


def _look_for_workers(connection: Connection, found: Readiness) -> None:
    """A lane where nothing waits needs nobody; where something came in just now, a worker may be on its way."""
    with Session(connection) as session:
        lost = [lane for lane, waits in attendance.without_worker(session).items() if waits > attendance.SILENT_AFTER]
    if lost:
        found.parts["workers"] = f"none for {', '.join(lost)}"
        found.reasons.append(
            f"Nobody scores what waits in {', '.join(lost)}: start `triage worker {lost[0]}`. "
            "Reports are still accepted; their cases open without scores after some minutes"
        )


@lru_cache(maxsize=1)
def _older_versions() -> frozenset[str]:
    """Schemas that this program is too new for. One that it does not know is newer: an upgrade is under way."""
    script = ScriptDirectory.from_config(migrate.config())
    heads = script.get_heads()
    return frozenset(each.revision for each in script.walk_revisions() if each.revision not in heads)
