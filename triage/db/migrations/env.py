"""Alembic's environment: runs on the connection it is handed, under one advisory lock."""

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from triage.db import Base
from triage.db.events import Xid8
from triage.db.session import engine

_LOCK = 0x7472696167  # "triag": two processes that migrate at once take turns

ischema_names["xid8"] = Xid8  # reflected by `alembic check`


def run(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=False)
    with context.begin_transaction():
        context.run_migrations()


supplied = context.config.attributes.get("connection")
if supplied is None:
    with engine().begin() as own:
        run(own)
else:
    run(supplied)
