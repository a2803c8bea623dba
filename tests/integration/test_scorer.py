"""The scoring process as its clients meet it: the real process, the shipped model, and each interface's own client."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.people import People
from tests.scorers import Scorer, bearer, process
from triage.db import Event, PartnerUsage, Post, WorkerBeat
from triage.db.session import transaction
from triage.domain.taxonomy import SCORED_CODES
from workers.scoring import moderations, perspective

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("people")]

THREAT = "Tell Kieran I'm at his bus stop 3:30 with the sh4nk \U0001f52a"
BENIGN = "Lovely evening at the allotment, the courgettes are out of control again"
WELSH = "Mae hi'n braf iawn heddiw ac rydyn ni'n mynd i'r traeth gyda'r plant ar ôl cinio"


@pytest.fixture(scope="module")
def scorer(servers: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scorer]:
    with process(tmp_path_factory.mktemp("scorer") / "log") as running:
        yield running


@pytest.fixture
def key(people: People) -> str:
    return people.partner_key


@pytest.fixture
def client(scorer: Scorer, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{scorer.address}/v1", api_key=key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def comments(scorer: Scorer, key: str) -> Iterator[Any]:
    with google(scorer, key) as service:
        yield service.comments()


def google(scorer: Scorer, key: str) -> Any:
    address = f"{scorer.address}/$discovery/rest?version=v1alpha1"
    return build("commentanalyzer", "v1alpha1", developerKey=key, discoveryServiceUrl=address, static_discovery=False)


def analyse(comments: Any, text: str, *attributes: str, **more: Any) -> dict[str, Any]:
    asked = {"comment": {"text": text}, "requestedAttributes": {name: {} for name in attributes or ("THREAT",)}} | more
    answer: dict[str, Any] = comments.analyze(body=asked).execute()
    return answer


def use_up_quota(session: Session, people: People) -> None:
    people.partner.score_quota_per_day = 1
    session.merge(people.partner)
    session.commit()


def counted(people: People) -> int:
    with transaction() as session:
        return session.scalar(select(PartnerUsage.scores).where(PartnerUsage.partner_id == people.partner.id)) or 0


def close(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether probabilities are the same but for the rounding of another batch."""
    return one.keys() == other.keys() and all(abs(one[name] - other[name]) <= 0.02 for name in one)


# Our own form


def test_scores_are_those_of_the_command_line(scorer: Scorer, key: str) -> None:
    texts = {"a": THREAT, "b": BENIGN, "7": WELSH, "d": ""}
    lines = "".join(json.dumps({"id": own_id, "text": text}) + "\n" for own_id, text in texts.items())
    command = [sys.executable, "-m", "workers.cli", "score"]
    printed = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout

    answer = scorer.score(key, texts=list(texts.values()), ids=["a", "b", 7, "d"])

    assert answer.status_code == 200
    results, expected = answer.json()["results"], [json.loads(line) for line in printed.splitlines()]
    for result, wanted in zip(results, expected, strict=True):
        assert close(result.pop("labels"), wanted.pop("labels"))
        assert close(result.pop("contexts"), wanted.pop("contexts"))
        assert result == wanted


def test_one_text_is_numbered_or_keeps_its_id(scorer: Scorer, key: str) -> None:
    results = [scorer.score(key, text=BENIGN, **more).json()["results"] for more in ({}, {"id": "mine"})]

    assert [[one["id"] for one in result] for result in results] == [["1"], ["mine"]]
    assert [one["id"] for one in scorer.score(key, texts=[BENIGN, THREAT]).json()["results"]] == ["1", "2"]


def test_twenty_at_once_have_twenty_right_answers(scorer: Scorer, key: str) -> None:
    texts = [
        f"{THREAT} {'and ' * number} bring {number} friends" if number % 2 else BENIGN[number:] for number in range(20)
    ]
    alone = scorer.score(key, texts=texts).json()["results"]

    with ThreadPoolExecutor(20) as threads:
        together = list(threads.map(lambda text: scorer.score(key, text=text).json()["results"][0], texts))

    for mine, expected in zip(together, alone, strict=True):
        assert close(mine["labels"], expected["labels"])
        assert mine["evidence"] == expected["evidence"]
    assert len({json.dumps(one["labels"]) for one in together}) == 20


def test_text_that_is_not_assessed_never_looks_clean(scorer: Scorer, key: str) -> None:
    results = scorer.score(key, texts=[WELSH, "", "?! ... !!"]).json()["results"]

    for result in results:
        assert (result["assessed"], result["flagged"], result["labels"]) == (False, True, {})
        assert result["reasons"][0].startswith("Not assessed")


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"text": "x" * 20_001}, 422, "text"),
        ({"texts": ["fine", "x" * 20_001]}, 422, "texts.1"),
        ({"texts": ["fine"] * 101}, 422, "texts"),
        ({"texts": []}, 422, "texts"),
        ({"text": "a", "texts": ["b"]}, 422, "text"),
        ({}, 422, "text"),
        ({"texts": ["a", "b"], "ids": ["1"]}, 422, "ids"),
        ({"text": "a", "platform": "chirper"}, 422, "platform"),
        ({"text": 5}, 422, "text"),
        ({"texts": ["x" * 20_000] * 600}, 413, None),
    ],
)
def test_bad_request_is_named_and_costs_nothing(
    scorer: Scorer, people: People, asked: dict[str, Any], status: int, field: str | None
) -> None:
    answer = scorer.score(people.partner_key, **asked)

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert "xxx" not in answer.text
    assert counted(people) == 0


def test_key_and_quota_are_those_of_the_whole_service(scorer: Scorer, session: Session, people: People) -> None:
    use_up_quota(session, people)

    statuses = [
        scorer.score("tk_wrong", text=BENIGN).status_code,
        httpx2.post(f"{scorer.address}/api/v1/score", json={"text": BENIGN}).status_code,
        scorer.score(people.partner_key, texts=[BENIGN, BENIGN]).status_code,
        scorer.score(people.partner_key, text=BENIGN).status_code,
        scorer.score(people.partner_key, text=BENIGN).status_code,
        scorer.score(people.other_partner_key, text=BENIGN).status_code,
    ]

    assert statuses == [401, 401, 429, 200, 429, 200]
    assert counted(people) == 1
    assert int(scorer.score(people.partner_key, text=BENIGN).headers["retry-after"]) > 0


def test_nothing_is_kept(scorer: Scorer, session: Session, people: People) -> None:
    before = set(session.scalars(select(Event.id)))

    scorer.score(people.partner_key, texts=[THREAT, BENIGN])

    assert counted(people) == 2
    assert set(session.scalars(select(Event.id))) == before
    assert session.scalars(select(Post)).all() == []


# OpenAI's moderations, through its client


def test_moderation_of_a_string(client: openai.OpenAI, scorer: Scorer, key: str) -> None:
    [own] = scorer.score(key, text=THREAT).json()["results"]

    answer = client.moderations.create(input=THREAT, model="omni-moderation-latest")

    [result] = answer.results
    assert answer.id.startswith("modr-")
    assert answer.model == f"triage-{own['versions']['pipeline']}"
    assert result.flagged == own["flagged"]
    assert set(result.to_dict()["categories"]) == set(moderations.CATEGORIES)
    assert result.category_scores.violence == max(own["labels"][code] for code in moderations.CATEGORIES["violence"])
    assert result.category_applied_input_types.violence == ["text"]
    assert result.model_extra is not None
    assert result.model_extra["triage"]["labels"] == own["labels"]


def test_category_that_is_not_scored_is_absent_and_not_zero(client: openai.OpenAI) -> None:
    [result] = client.moderations.create(input=BENIGN).results

    assert (result.categories.hate, result.category_scores.hate) == (None, None)
    assert result.categories.violence is False
    assert isinstance(result.category_scores.harassment_threatening, float)
    assert "hate" not in result.model_dump_json(exclude_unset=True)


def test_moderation_of_several_strings_and_of_parts(client: openai.OpenAI) -> None:
    several = client.moderations.create(input=[BENIGN, THREAT]).results
    [parts] = client.moderations.create(
        input=[{"type": "text", "text": "Tell Kieran I'm at his"}, {"type": "text", "text": "bus stop 3:30"}]
    ).results
    [joined] = client.moderations.create(input="Tell Kieran I'm at his\nbus stop 3:30").results

    assert [result.model_extra["triage"]["id"] for result in several if result.model_extra] == ["1", "2"]
    assert several[0].category_scores.violence < several[1].category_scores.violence
    assert parts.to_dict() == joined.to_dict()


def test_moderation_that_was_not_assessed_says_so(client: openai.OpenAI) -> None:
    unread, read = client.moderations.create(input=[WELSH, BENIGN]).results

    assert unread.flagged is True
    assert unread.to_dict()["categories"] == {}
    assert unread.categories.violence is None
    assert unread.model_extra is not None
    assert unread.model_extra["triage"]["assessed"] is False
    assert read.categories.violence is False


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], "Images are not assessed"),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}], "Images are not assessed"),
        ("x" * 20_001, "longer than 20,000 characters"),
        (["a"] * 101, "more than 100 entries"),
        ([], "must be a string, a list"),
        ([[1, 2]], "must be a string, or a part"),
    ],
)
def test_moderation_refuses_in_their_form(client: openai.OpenAI, given: Any, sentence: str) -> None:
    with pytest.raises(openai.BadRequestError, match=sentence) as refusal:
        client.moderations.create(input=given)

    assert refusal.value.type == "invalid_request_error"
    assert refusal.value.param is not None
    assert refusal.value.param.startswith("input")


def test_moderation_without_key_or_quota(
    client: openai.OpenAI, scorer: Scorer, session: Session, people: People
) -> None:
    use_up_quota(session, people)
    client.moderations.create(input=BENIGN)

    with pytest.raises(openai.RateLimitError) as quota:
        client.with_options(max_retries=5).moderations.create(input=BENIGN)
    with pytest.raises(openai.AuthenticationError) as key:
        client.with_options(api_key="tk_wrong").moderations.create(input=BENIGN)

    assert (quota.value.code, key.value.code) == ("insufficient_quota", "invalid_api_key")
    assert counted(people) == 1


# Perspective's comments:analyze, through Google's client


def test_comment_has_a_threat_score_and_our_own(comments: Any, scorer: Scorer, key: str) -> None:
    [own] = scorer.score(key, text=THREAT).json()["results"]

    answer = analyse(comments, THREAT, "THREAT", "SUP", languages=["en-GB"], doNotStore=True, clientToken="mine")

    assert set(answer["attributeScores"]) == {"THREAT", "SUP"}
    threat = answer["attributeScores"]["THREAT"]
    highest = max(own["labels"][code] for code in perspective.ATTRIBUTES["THREAT"])
    assert threat["summaryScore"] == {"value": highest, "type": "PROBABILITY"}
    assert threat["spanScores"] == [{"begin": 0, "end": len(THREAT), "score": threat["summaryScore"]}]
    assert (answer["languages"], answer["detectedLanguages"], answer["clientToken"]) == (["en-GB"], ["en"], "mine")
    assert answer["triage"]["labels"] == own["labels"]


def test_spans_are_the_evidence(comments: Any) -> None:
    answer = analyse(comments, THREAT, *SCORED_CODES, spanAnnotations=True)

    seen = {
        (code, span["start"], span["end"])
        for code in SCORED_CODES
        for span in answer["triage"]["evidence"]
        if span["source"] == "model" and span["code"] == code
    }
    assert seen, "the test wants a text with evidence"
    shown = {
        (code, span["begin"], span["end"])
        for code, attribute in answer["attributeScores"].items()
        for span in attribute["spanScores"]
    }
    elsewhere = {code for code in SCORED_CODES if code not in {code for code, _, _ in seen}}
    assert shown == seen | {(code, 0, len(THREAT)) for code in elsewhere}


def test_attribute_that_is_not_scored_is_absent_beside_one_that_is(comments: Any) -> None:
    assert set(analyse(comments, BENIGN, "TOXICITY", "THREAT")["attributeScores"]) == {"THREAT"}


def test_score_below_the_threshold_is_left_out(comments: Any) -> None:
    wanted = {"THREAT": {"scoreThreshold": 1}, "TTL": {"scoreThreshold": 0}}

    assert set(analyse(comments, BENIGN, requestedAttributes=wanted)["attributeScores"]) == {"TTL"}


@pytest.mark.parametrize(
    ("text", "more", "sentence", "kind"),
    [
        (BENIGN, {"requestedAttributes": {"TOXICITY": {}}}, "None of the requested attributes.* THREAT, ", None),
        (BENIGN, {"requestedAttributes": {"THREATS": {}}}, "A requested attribute is unknown.* THREAT, ", None),
        (BENIGN, {"requestedAttributes": {}}, "requestedAttributes: ", None),
        (BENIGN, {"languages": ["cy"]}, "does not support request languages", "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"),
        (WELSH, {}, "not assessed", "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"),
        (WELSH, {"languages": ["en"], "dropUnsupportedAttributes": True}, "not assessed", "LANGUAGE_NOT_SUPPORTED"),
        (" ", {}, "not assessed", "COMMENT_EMPTY"),
        ("x" * 20_001, {}, "comment.text: The text is longer than 20,000 characters", None),
        (BENIGN, {"comment": {"text": BENIGN, "type": "HTML"}}, "Only PLAIN_TEXT", None),
    ],
)
def test_comment_is_refused_in_their_form(
    comments: Any, text: str, more: dict[str, Any], sentence: str, kind: str | None
) -> None:
    with pytest.raises(HttpError, match=sentence) as refusal:
        analyse(comments, text, **more)

    error = json.loads(refusal.value.content)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert [kind] == [kind and detail["errorType"][: len(kind)] for detail in error.get("details", [{}])]


def test_comment_without_key_or_quota(comments: Any, scorer: Scorer, session: Session, people: People) -> None:
    use_up_quota(session, people)
    analyse(comments, BENIGN)

    with pytest.raises(HttpError) as quota:
        analyse(comments, BENIGN)
    with google(scorer, "tk_wrong") as service, pytest.raises(HttpError, match="API key not valid") as key:
        analyse(service.comments(), BENIGN)

    assert (quota.value.status_code, json.loads(quota.value.content)["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert json.loads(key.value.content)["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_key_may_come_in_a_header(scorer: Scorer, key: str) -> None:
    asked = {"comment": {"text": BENIGN}, "requestedAttributes": {"THREAT": {}}}

    answers = [
        httpx2.post(f"{scorer.address}{perspective.PATH}", json=asked, headers=headers, timeout=60).status_code
        for headers in (bearer(key), {"X-Goog-Api-Key": key}, {})
    ]

    assert answers == [200, 200, 400]


# The process


def test_no_text_and_no_key_reaches_the_log(scorer: Scorer, session: Session, people: People) -> None:
    words, key = "unmistakable courgettes", people.partner_key
    paths = ("/api/v1/score", moderations.PATH, perspective.PATH, "/v1alpha1/comments:suggestscore", f"/{words}")
    bodies = [
        {"text": words},
        {"input": words},
        {"comment": {"text": words}, "requestedAttributes": {words: {}}},
        {"comment": {"text": words}, "requestedAttributes": {"THREAT": {}}},
        {words: words},
        words,
        {"texts": [words, "\ud800\0" + words]},
    ]
    answers = {
        httpx2.post(f"{scorer.address}{path}?key={key}", content=json.dumps(body), headers=headers, timeout=60)
        for path in paths
        for body in bodies
        for headers in (bearer(key), {})
    }
    httpx2.post(f"{scorer.address}{perspective.PATH}?key={key}", content=b"{" + words.encode(), timeout=60)
    written = scorer.log.read_text()

    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 422}
    assert "Application startup complete" in written
    assert words not in written
    assert key not in written
    assert key[:12] not in written
    assert not any(words in answer.text for answer in answers if answer.status_code != 200)


def beating() -> list[str]:
    with transaction() as session:
        return list(session.scalars(select(WorkerBeat.name)))


def test_it_says_that_it_lives(scorer: Scorer) -> None:
    health, ready = (httpx2.get(f"{scorer.address}/{name}", timeout=10).json() for name in ("health", "ready"))

    assert (health, ready) == ({"status": "ok"}, {"model": "ok", "database": "ok"})
    deadline = time.monotonic() + 30
    while beating() != ["scorer"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
