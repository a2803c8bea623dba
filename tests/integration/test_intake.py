"""Reports in: what a partner sends, what it gets back, and what is stored."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories import open_case, report, scores
from tests.people import People
from triage import audit, cases, idempotency, queue
from triage.api import problems, reports
from triage.db import Capture, Case, Event, Partner, Post, Report
from triage.domain.lifecycle import CaseEvent
from triage.queue import Bell


@pytest.fixture
def api(people: People) -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)
    app.include_router(reports.router)
    with TestClient(app, headers={"Authorization": f"Bearer {people.partner_key}"}) as client:
        yield client


def count(session: Session, table: Any) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(table)) or 0


def ndjson(*rows: Any) -> bytes:
    return b"\n".join(json.dumps(row).encode() if not isinstance(row, bytes) else row for row in rows)


def test_report_is_stored_with_case_event_and_doorbell(api: TestClient, session: Session) -> None:
    answer = api.post("/api/v1/reports", json=report())

    assert answer.status_code == 202
    case = session.scalars(select(Case)).one()
    assert (case.status, case.report_count) == ("waiting", 1)
    assert answer.json()["case_number"] == case.number
    event = session.scalars(select(Event).where(Event.case_id == case.id)).one()
    assert (event.kind, event.operation, event.object_id) == (
        "case.reported",
        "collection",
        answer.json()["report_id"],
    )
    assert queue.rq_queue(Bell.LIVE).count == 1
    assert queue.rq_queue(Bell.BULK).count == 0


def test_many_reports_on_one_post_make_one_case(api: TestClient, session: Session) -> None:
    for reason in ("frightening", "he named my son", "again"):
        assert api.post("/api/v1/reports", json=report(reason=reason)).status_code == 202

    case = session.scalars(select(Case)).one()
    assert case.report_count == 3
    assert count(session, Report) == 3


def test_edited_post_is_new_content(api: TestClient, session: Session) -> None:
    api.post("/api/v1/reports", json=report(platform_post_id="77", text="hello"))
    api.post("/api/v1/reports", json=report(platform_post_id="77", text="hello, I know where you live"))

    assert count(session, Case) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"purpose": None}, "purpose"),
        ({"purpose": "curiosity"}, "purpose"),
        ({"acquisition_mode": "covert"}, "acquisition_mode"),
        ({"text": "x" * 20_001}, "text"),
        ({"text": None}, "text"),
        ({"text": "   "}, "text"),
        ({"text": None, "url": "javascript:alert(1)"}, "url"),
        ({"text": None, "url": "http://user:pass@example.org/"}, "url"),
        ({"text": None, "url": "http://[broken"}, "url"),
        ({"posted_at": "yesterday"}, "posted_at"),
        ({"posted_at": "0001-01-01T00:00:00+14:00"}, "posted_at"),
        ({"posted_at": "9999-12-31T23:59:59-14:00"}, "posted_at"),
        ({"ethnicity": "x"}, "ethnicity"),
    ],
)
def test_bad_report_names_its_field_and_stores_nothing(
    api: TestClient, session: Session, changes: dict[str, Any], field: str
) -> None:
    answer = api.post("/api/v1/reports", json=report(**changes))

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert count(session, Post) == count(session, Case) == count(session, Report) == 0


def test_refusal_never_quotes_the_post(api: TestClient) -> None:
    answer = api.post("/api/v1/reports", json=report(text="secret words " * 2000, purpose="secret words"))

    assert "secret" not in answer.text


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer wrong", "Basic abc"])
def test_report_without_a_good_key_is_refused(api: TestClient, session: Session, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": key}
    del api.headers["Authorization"]

    answer = api.post("/api/v1/reports", json=report(), headers=headers)

    assert answer.status_code == 401
    assert count(session, Post) == 0


def test_batch_answers_each_line_and_stores_the_good_ones(api: TestClient, session: Session) -> None:
    body = ndjson(report(text="one"), report(text=None), b"{broken", report(text="two"), report(text="one"))

    answer = api.post("/api/v1/reports/batch", content=body)

    assert answer.status_code == 202
    found = answer.json()
    assert (found["accepted"], found["refused"]) == (3, 2)
    assert [row["status"] for row in found["results"]] == [202, 422, 422, 202, 202]
    assert found["results"][0]["case_id"] == found["results"][4]["case_id"]
    assert count(session, Case) == 2
    assert queue.rq_queue(Bell.BULK).count == 1
    assert queue.rq_queue(Bell.LIVE).count == 0


def test_batch_of_too_many_lines_is_refused_whole(api: TestClient, session: Session) -> None:
    answer = api.post("/api/v1/reports/batch", content=b"{}\n" * 10_001)

    assert answer.status_code == 413
    assert count(session, Post) == 0


def test_body_over_the_limit_is_refused(api: TestClient, session: Session) -> None:
    answer = api.post("/api/v1/reports/batch", content=b"x" * 10_000_001)

    assert answer.status_code == 413
    assert count(session, Post) == 0


def test_same_idempotency_key_gets_the_same_answer_once(api: TestClient, session: Session) -> None:
    headers = {"Idempotency-Key": "k-1"}

    first = api.post("/api/v1/reports", json=report(), headers=headers)
    again = api.post("/api/v1/reports", json=report(), headers=headers)
    other = api.post("/api/v1/reports", json=report(text="other"), headers=headers)

    assert first.json() == again.json()
    assert other.status_code == 409
    assert count(session, Report) == 1


def test_refused_request_does_not_use_up_its_idempotency_key(api: TestClient, session: Session) -> None:
    headers = {"Idempotency-Key": "k-2"}

    assert api.post("/api/v1/reports", json=report(purpose="x"), headers=headers).status_code == 422
    assert api.post("/api/v1/reports", json=report(), headers=headers).status_code == 202
    assert count(session, Report) == 1


def test_external_id_sent_twice_is_one_report(api: TestClient, session: Session) -> None:
    first = api.post("/api/v1/reports", json=report(external_id="A7")).json()
    again = api.post("/api/v1/reports", json=report(external_id="A7")).json()
    batch = api.post("/api/v1/reports/batch", content=ndjson(report(external_id="B1"), report(external_id="B1"))).json()

    assert again == first | {"duplicate": True}
    assert [row["duplicate"] for row in batch["results"]] == [False, True]
    assert count(session, Report) == 2


def test_quota_refuses_and_says_when_to_come_back(api: TestClient, session: Session, people: People) -> None:
    session.get_one(Partner, people.partner.id).quota_per_day = 2
    session.commit()

    api.post("/api/v1/reports/batch", content=ndjson(report(text="one"), report(text="two")))
    answer = api.post("/api/v1/reports", json=report(text="three"))

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert count(session, Report) == 2


def test_nul_and_half_surrogates_do_not_lose_the_report(api: TestClient, session: Session) -> None:
    answer = api.post("/api/v1/reports", content=json.dumps(report(text="a\x00b\ud800c")))

    assert answer.status_code == 202
    assert session.scalars(select(Post.text)).one() == "a�b�c"


def test_url_without_text_waits_for_its_capture(api: TestClient, session: Session) -> None:
    answer = api.post("/api/v1/reports", json=report(text=None, url="HTTPS://Example.org:443/p/1/#frag"))

    assert answer.status_code == 202
    assert session.scalars(select(Capture.url)).one() == "https://example.org/p/1"
    assert queue.rq_queue(Bell.CAPTURE).count == 1


def test_urgent_report_hurries_a_post_that_waits_in_bulk(api: TestClient, session: Session) -> None:
    api.post("/api/v1/reports/batch", content=ndjson(report()))
    api.post("/api/v1/reports", json=report(urgent=True))

    assert session.scalars(select(Post.lane)).one() == "urgent"
    assert queue.rq_queue(Bell.URGENT).count == 1


def test_live_report_hurries_a_post_that_waits_in_bulk(api: TestClient, session: Session) -> None:
    api.post("/api/v1/reports/batch", content=ndjson(report()))
    api.post("/api/v1/reports", json=report())
    api.post("/api/v1/reports/batch", content=ndjson(report()))

    assert session.scalars(select(Post.lane)).one() == "live"


def test_urgent_line_after_a_calm_one_in_the_same_batch(api: TestClient, session: Session) -> None:
    api.post("/api/v1/reports/batch", content=ndjson(report(), report(urgent=True)))

    assert session.scalars(select(Post.lane)).one() == "urgent"
    assert queue.rq_queue(Bell.URGENT).count == 1


def test_urgent_report_moves_an_open_case_up(api: TestClient, session: Session, people: People) -> None:
    case = open_case(session, people, scores())
    assert (case.tier, case.band) == ("P4", 4)

    api.post("/api/v1/reports", json=report(urgent=True))

    session.refresh(case)
    assert (case.tier, case.band, case.deadline_at) == ("P4", 1, case.received_at + timedelta(hours=1))


def test_urgent_report_opens_a_decided_case_again(api: TestClient, session: Session, people: People) -> None:
    case = open_case(session, people, scores())
    cases.advance(session, audit.system("tests"), case, CaseEvent.DECIDED, outcome="no_violation")
    session.commit()

    api.post("/api/v1/reports", json=report())
    session.refresh(case)
    assert case.status == "decided"
    api.post("/api/v1/reports", json=report(urgent=True))

    session.refresh(case)
    assert (case.status, case.outcome, case.band, case.report_count) == ("open", None, 1, 3)
    events = session.scalars(select(Event).where(Event.case_id == case.id).order_by(Event.id)).all()
    assert cases.folded(events) == cases.state_of(case)


def test_same_words_by_two_people_are_two_cases(api: TestClient, session: Session) -> None:
    for changes in ({"author_handle": "@wren"}, {"author_handle": "@owl"}, {"platform": "picstream"}):
        api.post("/api/v1/reports", json=report(**changes))

    assert count(session, Case) == 3


def test_many_reports_on_one_post_at_once(api: TestClient, session: Session) -> None:
    """A widely reported post must not make its reports, or the workers, wait for each other in a circle."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post("/api/v1/reports", json=report()).status_code, range(24)))

    assert answers == [202] * 24
    assert session.scalars(select(Case.report_count)).one() == 24


def test_same_external_id_many_times_at_once(api: TestClient, session: Session) -> None:
    def send(n: int) -> int:
        return api.post("/api/v1/reports", json=report(external_id="A7", text=f"words {n}")).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(12)))

    assert answers == [202] * 12
    assert (count(session, Report), count(session, Case)) == (1, 1)


def test_deeply_nested_line_is_refused_alone(api: TestClient, session: Session) -> None:
    answer = api.post("/api/v1/reports/batch", content=ndjson(report(), b"[" * 100_000, report(text="b")))

    assert [row["status"] for row in answer.json()["results"]] == [202, 422, 202]
    assert count(session, Report) == 2


@pytest.mark.parametrize("name", ["I will hurt Tom at five", "\x00", "a" * 500])
def test_unknown_field_is_not_repeated_if_it_could_be_words(api: TestClient, name: str) -> None:
    answer = api.post("/api/v1/reports", content=json.dumps(report() | {name: 1}), headers={"Idempotency-Key": "k"})

    assert answer.status_code == 422
    assert "field" not in answer.json()
    assert name not in answer.text


def test_wrong_content_length_is_not_an_error_of_ours(api: TestClient) -> None:
    answer = api.post("/api/v1/reports", content=json.dumps(report()), headers={"Content-Length": "abc"})

    assert answer.status_code == 202


def test_empty_idempotency_key_is_none(api: TestClient, session: Session) -> None:
    for text in ("one", "two"):
        assert api.post("/api/v1/reports", json=report(text=text), headers={"Idempotency-Key": ""}).status_code == 202
    assert count(session, Report) == 2


def test_idempotency_key_belongs_to_one_address(api: TestClient) -> None:
    body, headers = json.dumps(report()), {"Idempotency-Key": "k"}

    assert api.post("/api/v1/reports", content=body, headers=headers).status_code == 202
    assert api.post("/api/v1/reports/batch", content=body, headers=headers).status_code == 409


def test_old_idempotency_keys_are_forgotten(api: TestClient, session: Session) -> None:
    api.post("/api/v1/reports", json=report(), headers={"Idempotency-Key": "k"})
    now = datetime.now(UTC)

    assert idempotency.forget_old(session, now=now + timedelta(days=6)) == 0
    assert idempotency.forget_old(session, now=now + timedelta(days=8)) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"urgent": "on"}, "urgent"), ({"urgent": 1}, "urgent"), ({"posted_at": 1700000000}, "posted_at")],
)
def test_values_are_not_guessed(api: TestClient, changes: dict[str, Any], field: str) -> None:
    answer = api.post("/api/v1/reports", json=report(**changes))

    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_no_post_text_reaches_redis(api: TestClient) -> None:
    api.post("/api/v1/reports", json=report(text="unmistakable words"))

    redis = queue.connection()
    held = b"".join(redis.dump(key) or b"" for key in redis.scan_iter())
    assert held
    assert b"unmistakable" not in held
