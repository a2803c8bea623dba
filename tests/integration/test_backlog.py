"""Past its limit the backlog holds bulk intake back, and nothing else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from tests.factories import accept, report
from tests.people import People
from triage import backlog
from triage.db import Post, Report
from triage.settings import current
from workers import imports
from workers.cli import app


@pytest.fixture
def api(client: TestClient, people: People, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The web application with room for three posts."""
    monkeypatch.setattr(current(), "backlog_limit", 3)
    client.headers["Authorization"] = f"Bearer {people.partner_key}"
    yield client
    backlog.forget_measurement()


def add(session: Session, people: People, count: int) -> None:
    for n in range(count):
        accept(session, people, text=f"a post that waits, number {n}")
    session.commit()
    backlog.forget_measurement()


def batch(*rows: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def stored(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Report)) or 0


def test_batch_waits_while_too_much_waits_for_scores(api: TestClient, session: Session, people: People) -> None:
    add(session, people, 4)
    rows = batch(report(text="one"), report(text="two"))

    refused = api.post("/api/v1/reports/batch", content=rows, headers={"Idempotency-Key": "k"})
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
    assert refused.json()["title"] == "Too much is waiting"
    assert 30 <= int(refused.headers["Retry-After"]) <= 90
    assert stored(session) == 4

    session.execute(update(Post).values(scoring="done"))
    session.commit()
    backlog.forget_measurement()
    assert api.post("/api/v1/reports/batch", content=rows, headers={"Idempotency-Key": "k"}).status_code == 202
    assert stored(session) == 6


def test_single_reports_and_urgent_batches_go_on(api: TestClient, session: Session, people: People) -> None:
    add(session, people, 4)

    single = api.post("/api/v1/reports", json=report(text="one"))
    urgent = api.post("/api/v1/reports/batch", content=batch(report(text="two", urgent=True)))
    mixed = api.post("/api/v1/reports/batch", content=batch(report(text="three", urgent=True), report(text="four")))

    assert [answer.status_code for answer in (single, urgent, mixed)] == [202, 202, 429]
    assert stored(session) == 6


def test_batch_up_to_the_limit_is_accepted(api: TestClient, session: Session, people: People) -> None:
    add(session, people, 3)

    assert api.post("/api/v1/reports/batch", content=batch(report(text="one"))).status_code == 202


def test_old_post_of_the_bulk_lane_holds_bulk_intake_back(api: TestClient, session: Session, people: People) -> None:
    add(session, people, 1)
    long_ago = datetime.now(UTC) - timedelta(minutes=current().backlog_age_minutes + 1)
    session.execute(update(Post).values(created_at=long_ago))
    session.commit()
    assert api.post("/api/v1/reports/batch", content=batch(report(text="one"))).status_code == 202

    session.execute(update(Post).values(lane="bulk"))
    session.commit()
    backlog.forget_measurement()
    refused = api.post("/api/v1/reports/batch", content=batch(report(text="two")))
    assert (refused.status_code, "240 minutes" in refused.json()["detail"]) == (429, True)


def add_waiting(session: Session, count: int) -> None:
    session.execute(
        text(
            "INSERT INTO posts (identity, platform, text, lane, scoring) "
            "SELECT n, 'chirper', 'a post', 'bulk', 'wanted' FROM generate_series(1, :count) n"
        ),
        {"count": count},
    )
    session.commit()


def test_measuring_reads_an_index_no_further_than_the_limit(session: Session) -> None:
    add_waiting(session, 5000)
    session.execute(text("ANALYZE posts"))

    assert backlog.measure(session, limit=1000).posts == 1001
    assert backlog.measure(session, limit=9000).posts == 5000
    some = "SELECT lane FROM posts WHERE scoring = 'wanted' ORDER BY lane, id LIMIT 1001"
    plan = "\n".join(session.scalars(text(f"EXPLAIN {some}")))
    assert "ix_posts_scoring_wanted" in plan


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """2,500 rows without an id of their own: imported twice they would be counted twice."""
    file = tmp_path / "posts.jsonl"
    file.write_text("".join(json.dumps(report(text=f"post {n}")) + "\n" for n in range(2500)))
    return file


@pytest.mark.usefixtures("people")
def test_import_waits_for_room_and_then_goes_on(
    rows: Path, session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(current(), "backlog_limit", 999)
    monkeypatch.setattr(imports, "_LOOK_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(backlog, "_GOOD_FOR_SECONDS", 0)
    monkeypatch.setattr(backlog, "_TIMES_ITS_COST", 0)
    rejects = rows.with_name("rejects")
    with ThreadPoolExecutor(1) as thread:
        importing = thread.submit(imports.import_file, rows, partner_name="Chirper", rejects=rejects)
        most = 0
        while not importing.done():
            waiting = session.scalar(select(func.count()).where(Post.scoring == "wanted")) or 0
            most = max(most, waiting)
            if waiting and "waiting until there is room" in capsys.readouterr().err:  # then somebody scores
                session.execute(update(Post).where(Post.scoring == "wanted").values(scoring="done"))
            session.commit()

    assert importing.result() == imports.Outcome(2500, 0, 0, rejects)
    assert most == 1000
    assert stored(session) == 2500


@pytest.mark.usefixtures("people")
def test_import_that_does_not_wait_says_where_to_go_on(
    rows: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*options: str) -> str:
        backlog.forget_measurement()
        result = CliRunner().invoke(app, ["import", str(rows), "--partner", "Chirper", *options])
        return str(result.exception or result.output)

    monkeypatch.setattr(backlog, "_GOOD_FOR_SECONDS", 0)
    monkeypatch.setattr(backlog, "_TIMES_ITS_COST", 0)
    monkeypatch.setattr(current(), "backlog_limit", 999)
    assert "1,000 rows are stored; go on later with --from-line 1001" in run("--no-wait")
    monkeypatch.setattr(current(), "backlog_limit", 9999)
    assert "1,500 accepted" in run("--from-line", "1001")
    assert len(set(session.scalars(select(Post.text)))) == stored(session) == 2500


@pytest.mark.usefixtures("people")
def test_import_that_is_stopped_while_it_waits_says_where_to_go_on(rows: Path, session: Session) -> None:
    command = [sys.executable, "-m", "workers.cli", "import", str(rows), "--partner", "Chirper"]
    environment = os.environ | {"TRIAGE_BACKLOG_LIMIT": "999"}
    add_waiting(session, 1000)
    with subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    ) as waiting:
        assert waiting.stderr is not None
        waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        said = waiting.stderr.read()

    assert (waiting.returncode, "0 rows are stored; go on later with --from-line 1\n" in said) == (1, True)
    assert stored(session) == 0
