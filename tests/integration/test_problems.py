"""What a client is told when a server fails: the truth, what to do, and no value of anybody's."""

import threading
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from tests.people import People
from triage.db import Partner
from triage.db.session import engine, transaction
from workers.web import build

SECRET = "unmistakable words of a post"


@pytest.fixture
def ask(people: People) -> Callable[[Callable[[], None]], Response]:
    """Serve one request that does what it is given; gives the answer."""

    def answer(fail: Callable[[], None]) -> Response:
        app: FastAPI = build()
        app.add_api_route("/api/v1/failing", lambda: fail(), methods=["POST"])
        with TestClient(app) as client:
            return client.post("/api/v1/failing")

    return answer


Ask = Callable[[Callable[[], None]], Response]


def told(answer: Response) -> tuple[int, str, bool]:
    """Status, sentence, and whether the client is told when to come back."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    return answer.status_code, answer.json()["detail"], "Retry-After" in answer.headers


def test_same_thing_twice_at_once_is_a_conflict(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    def twice() -> None:
        with transaction() as session:
            session.add_all([Partner(name=SECRET, kind="platform"), Partner(name=SECRET, kind="platform")])

    status, sentence, _ = told(ask(twice))

    assert (status, sentence) == (409, "The same thing arrived twice at once; send it again")
    assert SECRET not in caplog.text


def test_row_that_a_check_refuses_is_our_mistake_and_is_not_quoted(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    def refused() -> None:
        with transaction() as session:
            session.add(Partner(name=SECRET, kind="no such kind"))

    status, sentence, _ = told(ask(refused))

    assert status == 500
    assert "operator" in sentence
    assert SECRET not in caplog.text


def test_deadlock_is_not_called_an_unreachable_database(ask: Ask, people: People) -> None:
    ours, theirs = people.partner.id, people.other_partner.id
    lock = text("SELECT 1 FROM partners WHERE id = :id FOR UPDATE")
    both = threading.Barrier(2)

    def other() -> None:
        with engine().begin() as connection:
            connection.execute(text("SET LOCAL deadlock_timeout = '20s'"))  # so that the request is the one that fails
            connection.execute(lock, {"id": theirs})
            both.wait(10)
            connection.execute(lock, {"id": ours})

    def deadlock() -> None:
        with transaction() as session:
            session.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            session.execute(lock, {"id": ours})
            both.wait(10)
            session.execute(lock, {"id": theirs})

    thread = threading.Thread(target=other)
    thread.start()
    status, sentence, again = told(ask(deadlock))
    thread.join(20)

    assert (status, again) == (503, True)
    assert "each other's way" in sentence
    assert "reached" not in sentence


def test_no_free_connection_says_when_to_come_back(ask: Ask) -> None:
    small = create_engine(engine().url, pool_size=1, max_overflow=0, pool_timeout=0.05)

    def waits() -> None:
        with small.connect(), small.connect():
            pass

    status, sentence, again = told(ask(waits))
    small.dispose()

    assert (status, again) == (503, True)
    assert "Too many requests" in sentence


def test_database_away_says_so(ask: Ask) -> None:
    nowhere = create_engine("postgresql+psycopg://triage@/triage?host=/nowhere")

    status, sentence, again = told(ask(lambda: nowhere.connect().close()))

    assert (status, again) == (503, True)
    assert "database cannot be reached" in sentence


def test_redis_away_does_not_blame_the_database(ask: Ask) -> None:
    def ping() -> None:
        Redis.from_url("unix:///nowhere/redis.sock").ping()

    status, sentence, again = told(ask(ping))

    assert (status, again) == (503, True)
    assert sentence == "Redis cannot be reached; try again"


def test_page_is_answered_with_a_page(session: Session, people: People) -> None:
    app = build()
    nowhere = create_engine("postgresql+psycopg://triage@/triage?host=/nowhere")
    app.add_api_route("/failing", lambda: nowhere.connect().close())

    with TestClient(app) as client:
        answer = client.get("/failing")

    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "The database cannot be reached" in answer.text
