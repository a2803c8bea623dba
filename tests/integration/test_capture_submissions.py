"""An analyst submits a URL and follows what becomes of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.people import PASSWORD, People
from triage import accounts, audit, queue
from triage.api import problems, submissions
from triage.db import Capture, Case, Event, Post, Report
from triage.deps import SESSION_COOKIE
from triage.domain.words import Role
from triage.queue import Bell

NOTES = {
    "necessity": "A threat against a named school was reported to the control room",
    "proportionality": "Only this one public post is read, no account",
    "collateral_intrusion": "Replies by others are not captured",
}


def submission(**changes: Any) -> dict[str, Any]:
    return {
        "url": "https://www.instagram.com/p/1",
        "purpose": "prevention_of_serious_violence",
        "acquisition_mode": "police_tasking",
        "force_code": "MPS",
        "operation_ref": "OP-17",
        **NOTES,
    } | changes


@pytest.fixture
def api(people: People) -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)
    app.include_router(submissions.router)
    with TestClient(app) as client:
        yield client


def sign_in(api: TestClient, session: Session, username: str) -> None:
    now = datetime.now(UTC)
    token = accounts.sign_in(session, username=username, password=PASSWORD, now=now, hours=1)
    assert token
    session.commit()
    api.cookies.set(SESSION_COOKIE, token)
    api.headers["X-CSRF-Token"] = accounts.signed_in(session, token, now=now).csrf_token


@pytest.fixture
def analyst(api: TestClient, session: Session) -> TestClient:
    sign_in(api, session, "alex")
    return api


def statuses(api: TestClient) -> list[str]:
    return [row["status"] for row in api.get("/api/v1/submissions").json()["submissions"]]


def test_submission_is_a_report_that_waits_for_its_capture(
    analyst: TestClient, session: Session, people: People
) -> None:
    answer = analyst.post("/api/v1/submissions", json=submission())

    assert answer.status_code == 202
    report = session.scalars(select(Report)).one()
    assert (report.submitted_by, report.partner_id) == (people.analyst.id, None)
    assert (report.purpose, report.acquisition_mode) == ("prevention_of_serious_violence", "police_tasking")
    assert (report.force_code, report.operation_ref, report.justification) == ("MPS", "OP-17", NOTES)
    post = session.scalars(select(Post)).one()
    assert (post.platform, post.text, post.scoring) == ("instagram", None, "no_text")
    assert session.scalars(select(Capture.status)).one() == "wanted"
    event = session.scalars(select(Event).where(Event.case_id.is_not(None))).one()
    assert (event.kind, event.actor_id, event.actor_roles) == ("case.reported", str(people.analyst.id), ["analyst"])
    assert queue.rq_queue(Bell.CAPTURE).count == 1


@pytest.mark.parametrize(
    ("host", "platform"),
    [("m.youtube.com", "youtube"), ("youtu.be", "youtube"), ("twitter.com", "x"), ("x.com", "x"), ("t.me", "telegram")],
)
def test_platform_is_known_by_its_host(analyst: TestClient, session: Session, host: str, platform: str) -> None:
    analyst.post("/api/v1/submissions", json=submission(url=f"https://{host}/p"))

    assert session.scalars(select(Post.platform)).one() == platform


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(
            ({field: value}, field)
            for field in NOTES
            for value in (None, "", "   ", " because ", "x" * 2001)
        ),
        ({"force_code": " "}, "force_code"),
        ({"operation_ref": None}, "operation_ref"),
        ({"purpose": None}, "purpose"),
        ({"purpose": "curiosity"}, "purpose"),
        ({"acquisition_mode": "user_report"}, "acquisition_mode"),
        ({"url": ""}, "url"),
        ({"url": "https://evil.example/"}, "url"),
        ({"url": "https://user:pass@x.com/"}, "url"),
        ({"url": "https://x.com:8080/"}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://x.com/\ud800"}, "url"),
        ({"text": "pasted words"}, "text"),
    ],
)  # fmt: skip
def test_bad_submission_names_its_field_and_stores_nothing(
    analyst: TestClient, session: Session, changes: dict[str, Any], field: str
) -> None:
    answer = analyst.post("/api/v1/submissions", content=json.dumps(submission(**changes)))

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert session.scalar(select(func.count()).select_from(Post)) == 0


@pytest.mark.parametrize("field", [*NOTES, "url", "purpose", "acquisition_mode", "force_code", "operation_ref"])
def test_missing_field_is_named(analyst: TestClient, field: str) -> None:
    body = submission()
    del body[field]

    assert analyst.post("/api/v1/submissions", json=body).json()["field"] == field


def test_broken_or_huge_body_is_refused_without_quoting_it(analyst: TestClient) -> None:
    broken = analyst.post("/api/v1/submissions", content=b'{"necessity": "secret words')
    unknown = analyst.post("/api/v1/submissions", json=submission(purpose="secret words"))

    assert (broken.status_code, unknown.status_code) == (422, 422)
    assert "secret" not in broken.text + unknown.text
    assert analyst.post("/api/v1/submissions", content=b"[" * 10_000_001).status_code == 413
    assert analyst.post("/api/v1/submissions", content=b"[" * 1_000_000).status_code == 422


def test_only_a_signed_in_analyst_may_submit(api: TestClient, session: Session) -> None:
    assert api.post("/api/v1/submissions", json=submission()).status_code == 401
    assert api.get("/api/v1/submissions").status_code == 401
    for username in ("morgan", "ada", "olly"):
        sign_in(api, session, username)
        assert api.post("/api/v1/submissions", json=submission()).status_code == 403
        assert api.get("/api/v1/submissions").status_code == 403

    assert session.scalar(select(func.count()).select_from(Report)) == 0


def test_submission_without_the_page_s_token_is_refused(analyst: TestClient, session: Session) -> None:
    del analyst.headers["X-CSRF-Token"]

    assert analyst.post("/api/v1/submissions", json=submission()).status_code == 403
    assert session.scalar(select(func.count()).select_from(Report)) == 0


def test_same_url_twice_is_one_case_and_one_capture(analyst: TestClient, session: Session) -> None:
    first = analyst.post("/api/v1/submissions", json=submission()).json()
    again = analyst.post("/api/v1/submissions", json=submission(url="https://WWW.instagram.com/p/1/#x")).json()

    assert first["case_number"] == again["case_number"]
    assert session.scalar(select(func.count()).select_from(Capture)) == 1
    assert session.scalar(select(func.count()).select_from(Report)) == 2


def test_threat_to_life_goes_to_the_urgent_lane(analyst: TestClient, session: Session) -> None:
    analyst.post("/api/v1/submissions", json=submission(purpose="threat_to_life"))

    assert session.scalars(select(Post.lane)).one() == "urgent"


def test_analyst_follows_own_submissions_in_words(analyst: TestClient, session: Session) -> None:
    analyst.post("/api/v1/submissions", json=submission())
    assert statuses(analyst) == ["waiting"]

    done = {"status": "done", "sha256": "0" * 64}
    steps: list[tuple[Any, dict[str, Any], str]] = [
        (Capture, done, "captured"),
        (Case, {"status": "open", "tier": "P2", "assessed": True}, "in review"),
        (
            Capture,
            {"status": "failed", "sha256": None, "failure": "needs_log_in"},
            "could not be captured because the page is not public; a person reviews the report",
        ),
        (Case, {"status": "decided"}, "decided"),
    ]
    for table, values, expected in steps:
        session.execute(update(table).values(**values))
        session.commit()
        assert statuses(analyst) == [expected]


def test_newest_own_submission_comes_first_and_others_are_not_shown(analyst: TestClient, session: Session) -> None:
    for number in range(3):
        analyst.post("/api/v1/submissions", json=submission(url=f"https://x.com/{number}"))
    urls = [row["url"] for row in analyst.get("/api/v1/submissions?limit=2").json()["submissions"]]
    assert urls == ["https://x.com/2", "https://x.com/1"]

    accounts.create_user(
        session,
        audit.system("tests"),
        username="second",
        display_name="Second",
        password=PASSWORD,
        roles=[Role.ANALYST],
    )
    session.commit()
    sign_in(analyst, session, "second")
    assert statuses(analyst) == []
