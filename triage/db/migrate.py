"""Bring the database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from triage.db.session import engine
from triage.domain.errors import Conflict, NotFound

#: What the service may only read and add to. The trigger on them is the second lock: an owner could switch it off.
_APPEND_ONLY = "events, event_seals"


def config() -> Config:
    cfg = Config()
    cfg.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    cfg.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(slug)s")
    return cfg


def upgrade() -> None:
    """Run all migrations that are missing. Safe to run twice, and from two processes at once."""
    cfg = config()
    with engine().begin() as connection:
        cfg.attributes["connection"] = connection
        command.upgrade(cfg, "head")


def grant(role: str) -> None:
    """Give the role that the service runs under what it needs, and nothing that would let it rewrite the log.

    Run it as the owner of the tables, after ``upgrade``; safe to run twice.

    Raises:
        NotFound: there is no such role.
        Conflict: the role is the owner or a superuser, so that nothing could be kept from it.
    """
    with engine().begin() as connection:
        _check_is_lesser(connection, role)
        name = connection.dialect.identifier_preparer.quote(role)
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {name}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
            f"REVOKE UPDATE, DELETE ON {_APPEND_ONLY} FROM {name}",
            f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {name}",
        ):
            connection.execute(text(statement))


def _check_is_lesser(connection: Connection, role: str) -> None:
    if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
        raise NotFound(f"There is no role {role} in the database; create it first")
    owns = text("SELECT pg_has_role(:role, tableowner, 'MEMBER') FROM pg_tables WHERE tablename = 'events'")
    if connection.scalar(owns, {"role": role}):
        raise Conflict(f"The role {role} owns the tables or is a superuser; the service needs one that is neither")
