"""One real PostgreSQL and one real Redis per run; an empty database for each test that asks for one."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import uvicorn
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.people import People, add_people
from triage import backlog, queue
from triage.db import Base
from triage.db.migrate import upgrade
from triage.db.session import engine, session_factory
from triage.settings import current
from workers.embedded import EmbeddedServers, temporary_servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Running servers, migrated. The environment points at them, for child processes too."""
    with temporary_servers() as running:
        os.environ["TRIAGE_DATABASE_URL"] = running.database_url
        os.environ["TRIAGE_REDIS_URL"] = running.redis_url
        os.environ["TRIAGE_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
        for cached in (current, engine, queue.connection):
            cached.cache_clear()
        upgrade()
        yield running
        engine().dispose()
        queue.connection().close()


@pytest.fixture
def database(servers: EmbeddedServers) -> EmbeddedServers:
    """Empty tables and an empty Redis. Committed rows are seen by other connections and processes."""
    with engine().begin() as connection:
        # The log's trigger refuses DELETE, as it must; a test database may be emptied behind its back.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in Base.metadata.sorted_tables:
            connection.execute(table.delete())
    queue.connection().flushdb()
    queue.forget_failure()
    backlog.forget_measurement()
    return servers


@pytest.fixture
def session(database: EmbeddedServers) -> Iterator[Session]:
    """A session for arranging and looking. Commit what other connections must see."""
    with closing(session_factory()()) as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def people(session: Session) -> People:
    """A moderator, a second one, an analyst, an approver, an outsider, and two partners with keys."""
    added = add_people(session)
    session.commit()
    return added


@pytest.fixture
def client(database: EmbeddedServers) -> Iterator[TestClient]:
    from workers.web import build

    with TestClient(build(), follow_redirects=False) as opened:
        yield opened


@pytest.fixture
def live_server(database: EmbeddedServers) -> Iterator[str]:
    """The web application on a free port of this machine; gives its address."""
    from workers.web import build

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build(), host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=20)
