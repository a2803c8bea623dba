"""A scorer with more to do than it can, or with a model that is slow or fails. The model is the test's own."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest
from sqlalchemy import select

from tests.factories import scores
from tests.people import People
from tests.scorers import around, bearer
from triage.db import PartnerUsage
from triage.db.session import transaction
from triage.domain.scores import Scores
from workers.scoring import moderations, perspective

pytestmark = pytest.mark.usefixtures("people")

BODIES = {
    "/api/v1/score": {"text": "one"},
    moderations.PATH: {"input": "two"},
    perspective.PATH: {"comment": {"text": "three"}, "requestedAttributes": {"THREAT": {}}},
}


class Held:
    """A model that waits before each batch until it may go on, and then gives each text its length as a score."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_go_on = threading.Event()

    def score(self, texts: Sequence[str]) -> list[Scores]:
        self.batches.append(len(texts))
        assert self.may_go_on.wait(30)
        return [scores(TTL=len(text) / 1000) for text in texts]


@pytest.fixture
def model() -> Iterator[Held]:
    held = Held()
    yield held
    held.may_go_on.set()


@pytest.fixture
def counted() -> Callable[[], int]:
    def sum_of_usage() -> int:
        with transaction() as session:
            return sum(session.scalars(select(PartnerUsage.scores)))

    return sum_of_usage


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(address: str, key: str, path: str = "/api/v1/score", **body: object) -> httpx2.Response:
    return httpx2.post(f"{address}{path}", json=body or BODIES[path], headers=bearer(key), timeout=60)


def test_requests_that_wait_are_scored_together(people: People, model: Held) -> None:
    key = people.partner_key
    with around(model.score) as (address, line), ThreadPoolExecutor(21) as threads:
        first = threads.submit(ask, address, key, text="first")
        await_true(lambda: model.batches == [1])
        waiting = [threads.submit(ask, address, key, text="x" * number) for number in range(1, 21)]
        await_true(lambda: len(line._waiting) == 20)
        model.may_go_on.set()
        answers = [answer.result().json()["results"][0]["labels"]["TTL"] for answer in waiting]

    assert first.result().status_code == 200
    assert model.batches == [1, 20]
    assert answers == [number / 1000 for number in range(1, 21)]


def test_full_line_says_when_to_come_back_and_counts_nothing(
    people: People, model: Held, counted: Callable[[], int]
) -> None:
    key = people.partner_key
    with around(model.score, most_texts=3) as (address, line), ThreadPoolExecutor(1) as threads:
        inside = threads.submit(ask, address, key, texts=["a", "b", "c"])
        await_true(lambda: line.texts == 3 and model.batches == [3])

        refused = {path: ask(address, key, path) for path in BODIES}
        with (
            openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client,
            pytest.raises(openai.InternalServerError) as error,
        ):
            client.moderations.create(input="four")
        assert httpx2.get(f"{address}/ready").status_code == 200
        model.may_go_on.set()

        assert inside.result().status_code == 200
        assert ask(address, key).status_code == 200

    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused.values()} == {(503, "5")}
    ours, openais, googles = (answer.json() for answer in refused.values())
    assert ours["title"] == "Temporarily unavailable"
    assert openais["error"]["type"] == "server_error"
    assert googles["error"]["status"] == "UNAVAILABLE"
    assert error.value.status_code == 503
    assert counted() == 4


def test_request_that_waits_too_long_is_let_go_and_not_scored(people: People, model: Held) -> None:
    key = people.partner_key
    with around(model.score, patience=0.3) as (address, line), ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(ask, address, key) for _ in range(2)]
        statuses = {answer.result().status_code for answer in slow}
        model.may_go_on.set()
        await_true(lambda: not line._waiting)

        assert ask(address, key).status_code == 200

    assert statuses == {503}
    assert line.texts == 0
    assert sum(model.batches) <= 3  # both were taken together, or the second one never


def test_too_many_requests_at_once_are_refused(people: People, model: Held) -> None:
    key = people.partner_key
    with around(model.score, most_requests=1) as (address, _), ThreadPoolExecutor(1) as threads:
        inside = threads.submit(ask, address, key)
        await_true(lambda: model.batches == [1])

        assert ask(address, key).status_code == 503
        model.may_go_on.set()

        assert inside.result().status_code == 200
        assert ask(address, key).status_code == 200


def test_body_that_does_not_come_is_not_waited_for(people: People, model: Held) -> None:
    head = (
        f"POST /api/v1/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {people.partner_key}\r\n"
        "Content-Length: 500\r\n\r\n"
    )
    with (
        around(model.score, body_patience=0.2) as (address, _),
        socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), timeout=20) as slow,
    ):
        slow.sendall(head.encode() + b'{"text":')
        answer = slow.recv(1000)

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_what_it_did_is_counted(people: People, model: Held) -> None:
    def counts(address: str) -> dict[str, float]:
        lines = httpx2.get(f"{address}/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    model.may_go_on.set()
    with around(model.score, most_texts=3) as (address, line):
        before = counts(address)
        ask(address, people.partner_key, texts=["a", "b"])
        with line.room_for(["a", "b", "c"]):
            ask(address, people.partner_key)
            waiting = counts(address)["triage_scorer_texts_waiting"]
        after = counts(address)

    names = ("texts", "batches", "refused")
    assert waiting == 3
    assert [after[f"triage_scorer_{name}_total"] - before[f"triage_scorer_{name}_total"] for name in names] == [2, 1, 1]


def test_model_that_fails_says_not_assessed_in_each_form(people: People, caplog: pytest.LogCaptureFixture) -> None:
    def fail(texts: Sequence[str]) -> list[Scores]:
        raise RuntimeError(f"cannot read {texts}")

    with around(fail) as (address, _):
        ours, openais, googles = (ask(address, people.partner_key, path) for path in BODIES)

    assert [result["assessed"] for result in ours.json()["results"]] == [False]
    [moderated] = openais.json()["results"]
    assert (moderated["flagged"], moderated["categories"], moderated["triage"]["assessed"]) == (True, {}, False)
    assert (googles.status_code, googles.json()["error"]["status"]) == (500, "INTERNAL")
    assert "not assessed" in googles.json()["error"]["message"]
    assert not any(text in caplog.text for text in ("one", "three", "cannot read"))


def test_not_ready_once_nobody_scores(people: People) -> None:
    def score(texts: Sequence[str]) -> list[Scores]:
        return [scores() for _ in texts]

    with around(score) as (address, line):
        assert httpx2.get(f"{address}/ready").json() == {"model": "ok", "database": "ok"}
        line.close()
        answer = httpx2.get(f"{address}/ready")

        assert (answer.status_code, answer.json()["model"]) == (503, "stopped")
        assert ask(address, people.partner_key).status_code == 503
