"""A threat to life calls somebody: written with the case, delivered afterwards, to the next one if nobody looks."""

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from annotations import review
from tests import factories
from tests.people import People
from tests.visiting import Visit
from triage import alerts
from triage.db import Alert, Case
from triage.settings import current
from workers import on_call

P0 = factories.scores(review=0.95, urgent=0.9, TTL=0.95)
TEXT = "quite unmistakable words"


class Receiver(ThreadingHTTPServer):
    """Somebody's webhook: what came, and the statuses to answer with, the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.came: list[tuple[bytes, str | None]] = []
        self.statuses = [204]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        statuses = self.server.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status < 300:
            self.server.came.append((body, self.headers["X-Triage-Signature"]))
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return


class _Mail(socketserver.StreamRequestHandler):
    """Enough of SMTP to hand in a message."""

    server: "MailBox"

    def handle(self) -> None:
        self.wfile.write(b"220 mail\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(part)
                self.server.came.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


class MailBox(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.came: list[str] = []


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def first() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


@pytest.fixture
def second() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


@pytest.fixture
def chain(first: Receiver, second: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two on call, a webhook each."""
    monkeypatch.setenv("TRIAGE_ON_CALL", f"{first.url}, {second.url}")
    monkeypatch.setenv("TRIAGE_ON_CALL_SECRET", "a shared secret")
    monkeypatch.setenv("TRIAGE_PUBLIC_URL", "https://triage.example/")
    current.cache_clear()
    yield
    monkeypatch.undo()
    current.cache_clear()


def due_now(session: Session) -> None:
    """As if the wait before the next attempt were over."""
    session.execute(update(Alert).values(not_before=datetime.now(UTC) - timedelta(seconds=1)))
    session.commit()


@pytest.mark.usefixtures("chain")
def test_first_on_call_is_told_case_deadline_and_link_but_no_word(
    session: Session, people: People, first: Receiver, second: Receiver
) -> None:
    case = factories.open_case(session, people, P0, text=TEXT)
    factories.open_case(session, people, text="something less")

    assert (on_call.deliver_due(), on_call.deliver_due()) == (1, 0)

    (body, signature), told = first.came[0], json.loads(first.came[0][0])
    assert (len(first.came), second.came) == (1, [])
    assert (told["case"], told["tier"], told["kind"], told["step"]) == (case.number, "P0", "p0_opened", 1)
    assert told["deadline_at"] == case.deadline_at.isoformat() if case.deadline_at else False
    assert told["link"] == f"https://triage.example/cases/{case.id}"
    assert set(told) == {"id", "kind", "case", "tier", "received_at", "deadline_at", "step", "link"}
    assert b"unmistakable" not in body
    assert signature == f"sha256={hmac.new(b'a shared secret', body, hashlib.sha256).hexdigest()}"


@pytest.mark.usefixtures("chain")
def test_call_is_made_with_the_case_or_not_at_all(session: Session, people: People) -> None:
    accepted = factories.accept(session, people, text=TEXT)
    session.commit()
    case = session.get_one(Case, accepted.case_id)
    case.status, case.tier, case.assessed = "open", "P0", True
    alerts.raise_first(session, [case], now=datetime.now(UTC))
    session.rollback()

    assert on_call.deliver_due() == 0
    assert session.scalars(select(Alert.id)).all() == []


@pytest.mark.usefixtures("chain")
def test_receiver_that_fails_is_tried_again(session: Session, people: People, first: Receiver) -> None:
    first.statuses = [500, 302, 200]
    factories.open_case(session, people, P0, text=TEXT)

    for answered in (500, 302):
        assert on_call.deliver_due() == 0
        session.expire_all()
        alert = session.scalars(select(Alert)).one()
        assert (alert.failure, alert.delivered_at) == (f"webhook: answered {answered}", None)
        assert alerts.undelivered(session) == 1
        session.commit()
        assert on_call.deliver_due() == 0  # not yet due
        due_now(session)

    assert (on_call.deliver_due(), len(first.came)) == (1, 1)


@pytest.mark.usefixtures("chain")
def test_next_on_call_is_called_while_nobody_has_looked(
    session: Session, people: People, first: Receiver, second: Receiver
) -> None:
    case = factories.open_case(session, people, P0, text=TEXT)
    on_call.deliver_due()
    soon = datetime.now(UTC) + timedelta(minutes=current().on_call_minutes - 1)
    later = soon + timedelta(minutes=2)

    assert alerts.raise_next(session, now=soon) == 0
    assert alerts.raise_next(session, now=later) == 1
    assert alerts.raise_next(session, now=later) == 0
    session.commit()
    due_now(session)
    assert (on_call.deliver_due(), len(first.came), len(second.came)) == (1, 1, 1)
    assert json.loads(second.came[0][0])["kind"] == "p0_unseen"

    review.claim(session, people.moderator, case.id, now=datetime.now(UTC))
    assert alerts.raise_next(session, now=later + timedelta(hours=1)) == 0


@pytest.mark.usefixtures("chain")
def test_call_is_stopped_once_somebody_looks(session: Session, people: People, first: Receiver) -> None:
    case = factories.open_case(session, people, P0, text=TEXT)
    review.claim(session, people.moderator, case.id, now=datetime.now(UTC))
    session.commit()

    assert (on_call.deliver_due(), first.came) == (0, [])


def test_page_says_who_was_called(client: TestClient, session: Session, people: People) -> None:
    case = factories.open_case(session, people, P0, text=TEXT)
    visit = Visit(client, people.moderator)
    assert "The call is going out" in visit.get("/queue").text

    on_call.deliver_due()  # nobody is on call in these settings
    page = visit.get("/queue").text
    assert (f"Case {case.number}</a>" in page, "nobody is on call" in page) == (True, True)

    visit.take_next()
    assert "Life at risk:" not in visit.get("/queue").text


def test_mail_reaches_everybody_of_a_step_once(
    session: Session, people: People, first: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(MailBox()) as box:
        first.statuses = [503, 200]
        monkeypatch.setenv("TRIAGE_ON_CALL", f"{first.url} mailto:duty@triage.example")
        monkeypatch.setenv("TRIAGE_SMTP_URL", f"smtp://127.0.0.1:{box.server_address[1]}")
        current.cache_clear()
        case = factories.open_case(session, people, P0, text=TEXT)

        assert on_call.deliver_due() == 0
        due_now(session)
        assert on_call.deliver_due() == 1
        monkeypatch.undo()
        current.cache_clear()

    assert (len(box.came), len(first.came)) == (1, 1)
    assert f"Subject: P0: case {case.number} waits for a first look" in box.came[0]
    assert "unmistakable" not in box.came[0]
