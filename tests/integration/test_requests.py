"""One request is one transaction, and its commit comes before the answer."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, text

from triage.api import health, problems
from triage.db.session import session_factory
from triage.deps import SessionDep

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def app() -> FastAPI:
    built = FastAPI()
    problems.install(built)
    built.include_router(health.router)
    return built


def test_failing_commit_never_looks_like_success(app: FastAPI) -> None:
    """Fails if somebody drops scope="function": the client would have its 200 before the commit."""

    @app.post("/write")
    def write(session: SessionDep) -> dict[str, str]:
        session.execute(text("SET CONSTRAINTS ALL DEFERRED"))

        @event.listens_for(session, "before_commit")
        def fail(_: object) -> None:
            raise RuntimeError("the disk is full")

        return {"stored": "yes"}

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/write").status_code == 500


def test_ready_says_when_redis_is_away(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    from triage import queue

    with TestClient(app) as client:
        assert client.get("/ready").json() == {"database": "ok", "redis": "ok"}
        monkeypatch.setattr(queue, "connection", lambda: Redis.from_url("unix:///nowhere/redis.sock"))
        answer = client.get("/ready")

    assert (answer.status_code, answer.json()["redis"]) == (200, "away")


def test_metrics_name_no_post(app: FastAPI) -> None:
    with TestClient(app) as client:
        assert "triage_reports_accepted_total" in client.get("/metrics").text


def test_schema_and_tables_agree() -> None:
    from alembic import command

    from triage.db.migrate import config

    command.check(config())
    with session_factory()() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "0002"
