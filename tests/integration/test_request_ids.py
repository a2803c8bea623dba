"""Every answer has an id, every line of its request has it too, and no client can put a sentence there."""

import io
import json
import logging
import uuid
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from triage import log
from triage.api import problems
from triage.api.watched import Watched

logger = logging.getLogger("tests")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log.JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)


@pytest.fixture
def app() -> FastAPI:
    built = FastAPI()
    problems.install(built)
    built.add_middleware(Watched)

    @built.get("/works")
    def works() -> dict[str, str]:
        logger.info("in a thread")
        return {}

    @built.get("/breaks")
    async def breaks() -> None:
        logger.info("in the loop")
        raise RuntimeError("the words of a post")

    return built


def test_an_id_is_taken_or_given(app: FastAPI) -> None:
    with TestClient(app) as client:
        taken = client.get("/works", headers={"X-Request-ID": "from.the-proxy_1"}).headers["X-Request-ID"]
        asked = ("", "two words", "a" * 65, "café", "line\tbreak")
        given = [
            client.get("/works", headers={"X-Request-ID": each.encode()}).headers["X-Request-ID"] for each in asked
        ]

    assert taken == "from.the-proxy_1"
    assert len({uuid.UUID(each) for each in given}) == len(asked)


def test_lines_of_two_requests_are_told_apart(app: FastAPI, lines: io.StringIO) -> None:
    with TestClient(app) as client:
        for name in ("one", "two"):
            client.get("/works", headers={"X-Request-ID": name})
    logger.info("afterwards")

    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["message"], line.get("request")) for line in found] == [
        ("in a thread", "one"),
        ("in a thread", "two"),
        ("afterwards", None),
    ]


def test_a_mistake_of_ours_is_a_problem_with_the_id_and_without_the_words(app: FastAPI, lines: io.StringIO) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/breaks", headers={"X-Request-ID": "broken"})

    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "broken")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == "broken"
    assert "words" not in answer.text
    assert json.loads(lines.getvalue())["request"] == "broken"


def test_a_block_has_its_id_and_gives_it_back(lines: io.StringIO) -> None:
    with log.about(job="outer"):
        with log.about(task="inner"):
            logger.info("both")
        logger.info("one")
    logger.info("none")

    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line.get("job"), line.get("task")) for line in found] == [
        ("outer", "inner"),
        ("outer", None),
        (None, None),
    ]
