"""A partner collects what was sent to it, and nothing else."""

import base64
import csv
import hashlib
import io
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from tests import factories, referrals
from tests.people import People
from triage import referral
from triage.api import problems
from triage.api import referrals as api_referrals
from triage.db import Event, Referral
from triage.db.session import engine

LIST = "/api/v1/referrals"


def _app() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.include_router(api_referrals.router)
    return app


def _key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def api(people: People) -> Iterator[TestClient]:
    """The first partner's client."""
    with TestClient(_app(), headers=_key(people.partner_key)) as client:
        yield client


@pytest.fixture
def other_api(people: People) -> Iterator[TestClient]:
    with TestClient(_app(), headers=_key(people.other_partner_key)) as client:
        yield client


def test_whole_life_from_report_to_download(api: TestClient, session: Session, people: People) -> None:
    case = factories.open_case(session, people, url="https://chirper.example/p/1", platform_post_id="1")
    waiting = referrals.refer(session, people, case)
    assert api.get(LIST).json() == {"referrals": [], "next": None}
    referral.approve(session, people.approver, waiting.id, now=datetime.now(UTC))
    session.commit()

    (listed,) = api.get(LIST, params={"status": "approved"}).json()["referrals"]
    answer = api.get(listed["exports"]["json"])

    assert answer.status_code == 200
    document = answer.json()
    Draft202012Validator(api.get("/api/v1/schemas/referral.json").json()).validate(document)
    assert document["content"]["url"] == "https://chirper.example/p/1"
    assert document["content"]["text"] == factories.report()["text"]
    assert hashlib.sha256(answer.content).hexdigest() == listed["document_sha256"]
    assert api.get(LIST, params={"status": "approved"}).json()["referrals"] == []
    session.expire_all()
    row = session.get_one(Referral, waiting.id)
    assert row.status == "collected"
    assert row.collected_at is not None


def test_download_says_what_it_is(api: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    answer = api.get(f"{LIST}/{row.id}/export", params={"format": "csv"})

    digest = hashlib.sha256(answer.content)
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == f'attachment; filename="referral-{row.number}.csv"'
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    (line,) = csv.DictReader(io.StringIO(answer.content.decode(), newline=""))
    assert line["referral_id"] == str(row.id)


def test_every_download_is_a_disclosure_in_the_log(api: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    answers = [api.get(f"{LIST}/{row.id}/export", params={"format": kind}) for kind in ("json", "csv", "json")]

    events = session.scalars(select(Event).where(Event.kind == "referral.exported").order_by(Event.id)).all()
    assert [(event.operation, event.actor_kind, event.recipient_id, event.data["sha256"]) for event in events] == [
        ("disclosure", "partner", people.partner.id, hashlib.sha256(answer.content).hexdigest()) for answer in answers
    ]
    assert answers[0].content == answers[2].content


def test_only_the_first_download_sets_the_time(api: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)
    times = []

    for _ in range(2):
        api.get(f"{LIST}/{row.id}/export")
        times.append(api.get(f"{LIST}/{row.id}").json()["collected_at"])

    assert times[0] is not None
    assert times[0] == times[1]


def test_listing_shows_nothing_of_the_post(api: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    answers = [api.get(LIST).json()["referrals"][0], api.get(f"{LIST}/{row.id}").json()]

    for found in answers:
        assert set(found) == set(api_referrals.Summary.model_fields)
        assert "half three" not in json.dumps(found)


def test_no_partner_sees_anothers(api: TestClient, other_api: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)
    nobodys = uuid.uuid4()

    assert other_api.get(LIST).json()["referrals"] == []
    for path in ("", "/export", "/export?format=csv"):
        theirs, none = (other_api.get(f"{LIST}/{found}{path}") for found in (row.id, nobodys))
        assert (theirs.status_code, theirs.json()) == (404, none.json())
    assert other_api.get(LIST, params={"after": str(row.id)}).status_code == 422
    assert session.scalars(select(Event).where(Event.kind == "referral.exported")).all() == []
    assert len(api.get(LIST).json()["referrals"]) == 1


@pytest.mark.parametrize("end", ["waiting", "rejected"])
def test_what_was_not_approved_does_not_exist(api: TestClient, session: Session, people: People, end: str) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))
    if end == "rejected":
        referral.reject(session, people.approver, row.id, note="no", now=datetime.now(UTC))
        session.commit()

    assert api.get(LIST).json()["referrals"] == []
    assert api.get(f"{LIST}/{row.id}").status_code == 404
    assert api.get(f"{LIST}/{row.id}/export").status_code == 404


def test_recalled_is_listed_and_not_downloaded(api: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)
    referral.recall(session, people.approver, row.id, note="misread")
    session.commit()

    assert [found["status"] for found in api.get(LIST).json()["referrals"]] == ["recalled"]
    answer = api.get(f"{LIST}/{row.id}/export")
    assert answer.status_code == 409
    assert "recalled" in answer.json()["detail"]


def test_pages_follow_each_other_in_order_of_approval(api: TestClient, session: Session, people: People) -> None:
    waiting = [
        referrals.refer(session, people, factories.open_case(session, people, text=f"post {n}")) for n in range(5)
    ]
    for row in reversed(waiting):
        referral.approve(session, people.approver, row.id, now=datetime.now(UTC))
        session.commit()

    pages, after = [], None
    while True:
        page = api.get(LIST, params={"limit": 2} | ({"after": after} if after else {})).json()
        pages.append([found["referral_id"] for found in page["referrals"]])
        if (after := page["next"]) is None:
            break
        api.get(f"{LIST}/{pages[-1][-1]}/export")  # collecting does not disturb the pages

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [found for page in pages for found in page] == [str(row.id) for row in reversed(waiting)]


def test_listing_takes_as_many_queries_for_three_as_for_one(api: TestClient, session: Session, people: People) -> None:
    counts = []
    for already in (0, 1):
        for n in range(1 + already):
            referrals.approved(session, people, factories.open_case(session, people, text=f"post {already} {n}"))
        seen: list[str] = []

        def count(_connection: object, _cursor: object, statement: str, *_rest: object, seen: list[str] = seen) -> None:
            seen.append(statement)

        event.listen(engine(), "before_cursor_execute", count)
        listed = api.get(LIST).json()["referrals"]
        event.remove(engine(), "before_cursor_execute", count)
        counts.append((len(listed), len(seen)))

    assert counts == [(1, 2), (3, 2)]  # whose key, and the page


@pytest.mark.parametrize("headers", [{}, _key("tk_wrong"), {"Authorization": "Basic x"}])
def test_without_a_key_there_is_nothing(people: People, headers: dict[str, str]) -> None:
    with TestClient(_app(), headers=headers) as nobody:
        answer = nobody.get(LIST)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert nobody.get(f"{LIST}/{uuid.uuid4()}/export").status_code == 401
        assert nobody.get("/api/v1/schemas/referral.json").status_code == 200


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"),
        ("?after=x", "after"),
        ("/x", "referral_id"),
        (f"/{uuid.UUID(int=1)}/export?format=pdf", "format"),
    ],
)
def test_bad_request_names_the_field(api: TestClient, path: str, field: str) -> None:
    answer = api.get(LIST + path)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field


def test_openapi_tells_partners_what_to_expect() -> None:
    paths = _app().openapi()["paths"]

    for path, codes in {
        LIST: {"200", "401", "422"},
        f"{LIST}/{{referral_id}}": {"200", "401", "404", "422"},
        f"{LIST}/{{referral_id}}/export": {"200", "401", "404", "409", "422"},
        "/api/v1/schemas/referral.json": {"200"},
    }.items():
        assert paths[path]["get"]["description"]
        assert set(paths[path]["get"]["responses"]) == codes
