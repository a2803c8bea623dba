"""Who may see which page, and what a form must carry."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from annotations.pages.headers import CONTENT_SECURITY_POLICY
from tests import factories, referrals
from tests.people import PASSWORD, People
from tests.visiting import Visit
from triage.db import Event
from triage.db.session import engine
from triage.deps import SESSION_COOKIE

EVERYBODY = ["moderator", "analyst", "approver", "outsider", "admin", "safeguarding", "scrutineer"]
#: Every page, and who may open it.
PAGES = {
    "/": set(EVERYBODY),
    "/code-book": set(EVERYBODY),
    "/queue": {"moderator"},
    "/wellbeing": {"moderator"},
    "/batches": {"moderator"},
    "/cases/{case}": {"moderator"},
    "/cases/{case}/move": {"moderator", "approver"},
    "/search": {"moderator", "approver", "outsider", "safeguarding"},
    "/questions": {"approver"},
    "/incidents": {"approver", "admin"},
    "/second-readings": {"moderator"},
    "/safeguarding": {"safeguarding"},
    "/follow-ups": {"moderator", "approver"},
    "/scrutiny": {"scrutineer"},
    "/approvals": {"approver"},
    "/approvals/{referral}": {"approver"},
    "/referrals": {"approver"},
    "/submissions": {"analyst"},
    "/submissions/new": {"analyst"},
    "/figures": {"approver", "outsider", "admin", "scrutineer"},
    "/figures.csv": {"approver", "outsider", "admin", "scrutineer"},
    "/given-up": {"admin"},
}
#: Every form of somebody else's role.
FORMS = {
    "/queue/next": {"moderator"},
    "/batches/{case}/decide": {"moderator"},
    "/batches/{case}/undo": {"moderator"},
    "/wellbeing/break": {"moderator"},
    "/wellbeing/topics": {"moderator"},
    "/wellbeing/media": {"moderator"},
    "/wellbeing/call-out/{case}": {"moderator"},
    "/cases/{case}/claim": {"moderator"},
    "/cases/{case}/judge": {"moderator"},
    "/cases/{case}/decide": {"moderator"},
    "/cases/{case}/extend": {"moderator"},
    "/cases/{case}/release": {"moderator"},
    "/cases/{case}/pass": {"moderator"},
    "/cases/{case}/hold": {"moderator"},
    "/cases/{case}/resume": {"moderator", "approver"},
    "/cases/{case}/assign": {"moderator", "approver"},
    "/cases/{case}/escalate": {"moderator"},
    "/questions/{case}/answer": {"approver"},
    "/queue/views": {"moderator"},
    "/queue/views/{case}/delete": {"moderator"},
    "/search": {"moderator", "approver", "outsider", "safeguarding"},
    "/incidents": {"approver", "admin"},
    "/incidents/{case}/close": {"approver", "admin"},
    "/second-readings/{referral}/judge": {"moderator"},
    "/second-readings/{referral}/answer": {"moderator"},
    "/scrutiny": {"scrutineer"},
    "/approvals/{referral}/approve": {"approver"},
    "/approvals/{referral}/reject": {"approver"},
    "/approvals/{referral}/refuse": {"approver"},
    "/referrals/{referral}/recall": {"approver"},
    "/submissions/new": {"analyst"},
    "/given-up/{case}/retry": {"admin"},
    "/given-up/retry-all": {"admin"},
}


@pytest.mark.parametrize("role", EVERYBODY)
def test_pages_open_for_their_roles_only(client: TestClient, session: Session, people: People, role: str) -> None:
    ids = {
        "case": factories.open_case(session, people, text="open").id,
        "referral": referrals.refer(session, people, factories.open_case(session, people, text="referred")).id,
    }
    visit = Visit(client, getattr(people, role))

    answers = {page: visit.get(page.format(**ids)).status_code for page in PAGES}

    assert answers == {page: 200 if role in allowed else 403 for page, allowed in PAGES.items()}


@pytest.mark.parametrize("role", EVERYBODY)
def test_forms_are_refused_to_other_roles(client: TestClient, session: Session, people: People, role: str) -> None:
    ids = {
        "case": factories.open_case(session, people, text="open").id,
        "referral": referrals.refer(session, people, factories.open_case(session, people, text="referred")).id,
    }
    visit = Visit(client, getattr(people, role))

    for form, allowed in FORMS.items():
        if role not in allowed:
            assert visit.post(form.format(**ids)).status_code == 403, form


@pytest.mark.parametrize("page", [page for page in PAGES if "{" not in page])
def test_stranger_is_sent_to_sign_in(client: TestClient, page: str) -> None:
    answer = client.get(page)

    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")


def test_session_that_ended_turns_the_whole_page_to_sign_in(client: TestClient) -> None:
    answer = client.get("/queue", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/sign-in?next=/queue")


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(client: TestClient, people: People) -> None:
    answer = client.post("/sign-in", data={"username": "morgan", "password": PASSWORD})

    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_wrong_password_keeps_the_name_and_says_so(client: TestClient, people: People) -> None:
    answer = client.post("/sign-in", data={"username": "morgan", "password": "wrong"})

    assert answer.status_code == 422
    assert 'value="morgan"' in answer.text
    assert "do not match" in answer.text


@pytest.mark.parametrize("target", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example"])
def test_sign_in_leads_nowhere_else(client: TestClient, people: People, target: str) -> None:
    form = {"username": "morgan", "password": PASSWORD, "next": target}

    assert client.post("/sign-in", data=form).headers["location"] == "/"


def test_other_site_cannot_sign_somebody_in(client: TestClient, people: People) -> None:
    form = {"username": "morgan", "password": PASSWORD}

    assert client.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_form_without_its_token_is_refused(client: TestClient, session: Session, people: People) -> None:
    factories.open_case(session, people)
    visit = Visit(client, people.moderator)

    assert visit.client.post("/queue/next").status_code == 403
    assert visit.post("/queue/next", csrf_token="x").status_code == 403
    assert visit.client.post("/queue/next", headers={"X-CSRF-Token": visit.token}).status_code == 303


def test_signing_out_ends_the_session(client: TestClient, people: People) -> None:
    visit = Visit(client, people.moderator)
    cookie = visit.client.cookies[SESSION_COOKIE]

    visit.post("/sign-out")
    visit.client.cookies.set(SESSION_COOKIE, cookie)

    assert visit.get("/queue").status_code == 303


def test_every_answer_carries_the_headers(client: TestClient, people: People) -> None:
    for path in ("/sign-in", "/nowhere", "/static/keyboard.js", "/api/v1/nowhere"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert client.get("/sign-in").headers["cache-control"] == "no-store"


def test_page_that_does_not_exist_says_so_in_words(client: TestClient, people: People) -> None:
    visit = Visit(client, people.moderator)

    for path in ("/nowhere", "/cases/not-an-id", "/cases/01a20434-75d1-7d76-8f21-6e16f5bc0051"):
        answer = visit.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_queue_lists_reasons_but_neither_text_nor_scores(client: TestClient, session: Session, people: People) -> None:
    factories.open_case(session, people, factories.scores(review=0.83, TTL=0.77), text="quite unmistakable words")
    factories.open_case(session, people, factories.NOT_ASSESSED, text="other words")

    page = Visit(client, people.moderator).get("/queue").text

    assert ("TTL" in page, "Due in" in page, "not the same as clean" in page) == (True, True, True)
    assert ("unmistakable" in page, "77%" in page, "83%" in page) == (False, False, False)
    assert session.scalars(select(Event).where(Event.kind == "case.read")).all() == []


@pytest.mark.parametrize("path", ["/queue", "/approvals", "/"])
def test_lists_take_the_same_number_of_queries_however_long(
    client: TestClient, session: Session, people: People, path: str
) -> None:
    visit = Visit(client, people.approver if path == "/approvals" else people.moderator)

    def add(first: int, last: int) -> None:
        for number in range(first, last):
            case = factories.open_case(session, people, text=f"post {number}")
            referrals.refer(session, people, case)
            factories.open_case(session, people, text=f"open {number}")

    add(0, 1)
    one = _queries(visit, path)
    add(1, 4)

    assert _queries(visit, path) == one


def _queries(visit: Visit, path: str) -> int:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(engine(), "before_cursor_execute", note)
    try:
        assert visit.get(path).status_code == 200
    finally:
        event.remove(engine(), "before_cursor_execute", note)
    return len(statements)


def test_half_a_surrogate_in_a_form_is_no_error_of_ours(client: TestClient) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="username"\r\nContent-Type: text/plain; charset=unicode_escape'
        b'\r\n\r\n\\ud800\\x00\r\n--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nx\r\n--b--\r\n'
    )

    answer = client.post("/sign-in", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    assert answer.status_code == 422
