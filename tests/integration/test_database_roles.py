"""The role that the service runs under does its work and cannot rewrite the log."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, sessionmaker

from tests.factories import accept, open_case
from tests.people import PASSWORD, People
from triage import accounts, audit
from triage.db.migrate import grant
from triage.db.session import engine
from triage.domain.errors import Conflict, NotFound


@pytest.fixture
def role(people: People) -> Iterator[str]:
    name = f"Service {secrets.token_hex(4)}"  # a name that has to be quoted
    with engine().begin() as connection:
        connection.execute(text(f'CREATE ROLE "{name}" LOGIN'))
    grant(name)
    grant(name)  # as with each new version
    yield name
    with engine().begin() as connection:
        connection.execute(text(f'DROP OWNED BY "{name}"'))
        connection.execute(text(f'DROP ROLE "{name}"'))


@pytest.fixture
def service(role: str) -> Iterator[Connection]:
    """A connection of the service."""
    lesser = create_engine(engine().url.set(username=role))
    with lesser.connect() as connection:
        yield connection
    lesser.dispose()


def test_service_does_its_work(service: Connection, people: People) -> None:
    with closing(sessionmaker(service, expire_on_commit=False)()) as session:
        accept(session, people)
        open_case(session, people, text="another post")
        assert accounts.sign_in(session, username="morgan", password=PASSWORD, now=datetime.now(UTC), hours=1)
        session.commit()
        assert audit.seal(session) > 0
        session.commit()
        assert audit.verify(session).problem is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM event_seals",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP TRIGGER events_append_only ON events",
        "DROP TABLE events",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (id int)",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
def test_service_cannot_rewrite_the_log(service: Connection, statement: str) -> None:
    with pytest.raises(ProgrammingError) as refused:
        service.execute(text(statement))

    assert getattr(refused.value.orig, "sqlstate", None) == "42501"  # insufficient privilege: not the trigger


def test_owner_is_refused_as_the_role_of_the_service(session: Session) -> None:
    owner = session.scalar(text("SELECT current_user"))

    with pytest.raises(Conflict, match="superuser"):
        grant(str(owner))
    with pytest.raises(NotFound, match="no role"):
        grant("nobody at all")
