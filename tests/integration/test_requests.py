"""One request is one transaction, and its commit comes before the answer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

from tests.factories import NOT_ASSESSED, accept, open_case
from tests.people import People
from triage import metrics, watching
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


def test_metrics_count_what_other_processes_did(app: FastAPI, session: Session, people: People) -> None:
    """Workers serve no metrics; what they did is counted in the database. Every series is there from the start."""
    watching.forget_pace()
    with TestClient(app) as client:
        before = client.get("/metrics").text
        open_case(session, people, NOT_ASSESSED, text="a post that no model could score")
        open_case(session, people, text="a post that one could")
        accept(session, people, text="a post that waits")
        watching.count(session, now=datetime.now(UTC))
        session.commit()
        after = client.get("/metrics").text

    series = {
        "triage_database_up": ("1.0", "1.0"),
        "triage_reports_accepted_total": ("0.0", "3.0"),
        "triage_posts_scored_total": ("0.0", "2.0"),
        'triage_posts_not_assessed{reason="model_failed"}': ("0.0", "1.0"),
        'triage_posts_waiting{lane="live"}': ("0.0", "1.0"),
        'triage_posts_waiting{lane="urgent"}': ("0.0", "0.0"),
        "triage_captures_waiting": ("0.0", "0.0"),
        'triage_cases{status="waiting",tier="none"}': ("0.0", "1.0"),
    }
    for name, values in series.items():
        assert (
            tuple(dict(line.rsplit(" ", 1) for line in page.splitlines())[name] for page in (before, after)) == values
        )


def test_metrics_without_a_database_say_so(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "engine", lambda: create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))

    with TestClient(app) as client:
        page = client.get("/metrics").text

    assert "triage_database_up 0.0" in page
    assert "triage_posts_scored" not in page
    assert "triage_doorbell_failures_total" in page


def test_every_counter_is_counted_somewhere() -> None:
    """A series that is always 0 says that all is well when nobody looks."""
    root = Path(__file__).parents[2]
    rooms = ("triage", "annotations", "workers")
    sources = [file.read_text() for room in rooms for file in (root / room).rglob("*.py")]
    counters = [name for name, value in vars(metrics).items() if isinstance(value, (Counter, Gauge, Histogram))]

    assert counters
    assert [name for name in counters if not any(f"metrics.{name}." in source for source in sources)] == []


def test_schema_and_tables_agree() -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    from triage.db.migrate import config

    command.check(config())
    with session_factory()() as session:
        assert (
            session.scalar(text("SELECT version_num FROM alembic_version"))
            == ScriptDirectory.from_config(config()).get_current_head()
        )
