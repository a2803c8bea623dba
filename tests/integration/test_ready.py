"""``/ready`` and ``/health`` tell the truth while real servers are stopped, closed to writers or not yet migrated."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from triage import queue
from triage.db.migrate import upgrade
from triage.db.session import engine
from triage.settings import current
from workers.embedded import EmbeddedServers, temporary_servers
from workers.web import build

ALL_WORK = {"intake": "works", "review": "works", "scoring": "works"}
NONE_WORK = dict.fromkeys(ALL_WORK, "does not work")


def forget_servers() -> None:
    if engine.cache_info().currsize:
        engine().dispose()  # else its idle connections would be found open by the garbage collector
    for cached in (current, engine, queue.connection):
        cached.cache_clear()
    queue.forget_failure()


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedServers]:
    """Servers of this module's own, to be stopped; not migrated yet. The other tests' are left alone."""
    with temporary_servers() as running:
        yield running


@pytest.fixture
def client(own: EmbeddedServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("TRIAGE_DATABASE_URL", own.database_url)
    monkeypatch.setenv("TRIAGE_REDIS_URL", own.redis_url)
    monkeypatch.setenv("TRIAGE_DATA_DIR", str(tmp_path))
    forget_servers()
    with TestClient(build()) as opened:
        yield opened
    engine().dispose()
    queue.connection().close()
    monkeypatch.undo()
    forget_servers()


def ready(client: TestClient, duty: str = "") -> tuple[int, dict[str, Any]]:
    answer = client.get("/ready" + (f"?duty={duty}" if duty else ""))
    return answer.status_code, answer.json()


def stop(own: EmbeddedServers, name: str) -> None:
    """Kill a server as the kernel would, and wait until it is gone."""
    subprocess.run(["kill", f"-{signal.SIGKILL}", str(own.pids[name])], check=True)  # noqa: S607
    while not any(server.name == name and server.has_ended() for server in own._servers):
        pass


def test_database_that_was_never_migrated_is_not_ready(client: TestClient) -> None:
    status, said = ready(client)

    assert (status, said["schema"], said["duties"]) == (503, "behind", NONE_WORK)
    assert said["reasons"] == ["Migrations are missing: run `triage migrate`"]

    upgrade()
    assert ready(client) == (
        200,
        {
            "ready": True,
            "database": "ok",
            "schema": "ok",
            "workers": "ok",
            "redis": "ok",
            "reasons": [],
            "duties": ALL_WORK,
        },
    )


@pytest.mark.parametrize(("version", "status"), [("0001", 503), ("9999", 200)], ids=["older", "newer"])
def test_schema_of_another_version(client: TestClient, version: str, status: int) -> None:
    """An older one needs its migrations. A newer one is an upgrade under way: it must not stop what still runs."""
    upgrade()
    with engine().begin() as connection:
        right = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    try:
        assert ready(client)[0] == status
    finally:
        with engine().begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": right})


def test_read_only_database_is_not_ready(own: EmbeddedServers, client: TestClient) -> None:
    upgrade()
    address = own.database_url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ALTER DATABASE triage SET default_transaction_read_only = on")
        try:
            engine().dispose()
            status, said = ready(client)
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER DATABASE triage RESET default_transaction_read_only")
            engine().dispose()

    assert (status, said["database"], said["redis"], said["duties"]) == (503, "read-only", "ok", NONE_WORK)
    assert said["reasons"] == ["The database is read-only: nothing can be accepted or reviewed"]
    assert ready(client)[0] == 200


def test_redis_away_says_which_duties_still_work(own: EmbeddedServers, client: TestClient) -> None:
    upgrade()
    stop(own, "redis")
    try:
        status, said = ready(client)
        assert (status, said["redis"], said["database"]) == (503, "away", "ok")
        assert said["duties"] == {"intake": "works", "review": "works", "scoring": "does not work"}
        assert ["Redis cannot be reached" in reason for reason in said["reasons"]] == [True]
        assert [ready(client, duty)[0] for duty in ("intake", "review", "scoring")] == [200, 200, 503]
        assert client.get("/health").json() == {"status": "ok"}
    finally:
        assert own.restart_ended() == ["redis"]
    assert ready(client)[0] == 200


def test_database_away(own: EmbeddedServers, client: TestClient) -> None:
    upgrade()
    stop(own, "postgres")
    try:
        status, said = ready(client)
        assert (status, said["database"], said["redis"], said["duties"]) == (503, "away", "ok", NONE_WORK)
        assert said["reasons"] == ["The database cannot be reached: nothing can be accepted or reviewed"]
        assert (client.get("/health").status_code, ready(client, "intake")[0]) == (200, 503)
    finally:
        assert own.restart_ended() == ["postgres"]
    assert ready(client)[0] == 200


def test_no_server_configured_is_not_an_error_of_ours(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        for name in ("TRIAGE_DATABASE_URL", "TRIAGE_REDIS_URL"):
            without.delenv(name)
        forget_servers()
        status, said = ready(client)
    forget_servers()

    assert (status, said["database"], said["redis"]) == (503, "away", "away")
