"""Posts that could break a reader: each is stored, isolated from its batch, and put in front of a person."""

import json
import unicodedata
from collections.abc import Iterator, Sequence

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.factories import report, scores
from tests.fault.promises import all_open, assert_kept, wait_until
from tests.people import People
from triage.db import Case, Post, PostScores
from triage.db.session import transaction
from triage.domain.scores import Scores
from triage.domain.words import Lane
from triage.settings import current
from workers import jobs

pytestmark = [pytest.mark.fault, pytest.mark.model]

WORDS = "bring the bottle to the bus stop and wait for us there"
POISON = {
    "a NUL": f"bring\x00{WORDS}",
    "half a surrogate pair": f"{WORDS} \ud83d",
    "surrogates in the wrong order": f"{WORDS} \ude00\ud83d",
    "combining marks": "e" + "\N{COMBINING ACUTE ACCENT}" * 100_000,
    "combining marks without a letter": "\N{COMBINING ACUTE ACCENT}" * 1_000,
    "combining marks on words": "".join(letter + "\N{COMBINING TILDE}" * 300 for letter in WORDS),
    "right-to-left overrides": f"\N{RIGHT-TO-LEFT OVERRIDE}{WORDS}\N{POP DIRECTIONAL FORMATTING}" * 50,
    "only emoji": "\N{PISTOL}\N{HOCHO}" * 500,
    "only a zero-width joiner": "\N{ZERO WIDTH JOINER}" * 2_000,
    "the longest post": "word " * 3_999 + "words",
    "the longest post without a space": "x" * 20_000,
    "one emoji family": "\N{MAN}\N{ZERO WIDTH JOINER}" * 20_000,
    "controls": "".join(chr(n) for n in range(1, 32)) + WORDS,
    "private use and unassigned": "\ue000\U000e0fff\uffff" * 100 + WORDS,
    "another template language": "{{ 7 * 7 }} ${7*7} <script>alert(1)</script> %s %n",
}
#: Emoji are read by their names, so they are words.
NO_WORDS = {"only a zero-width joiner", "combining marks without a letter"}


@pytest.fixture
def long_posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As an installation that takes longer posts than ours."""
    monkeypatch.setenv("TRIAGE_MAX_TEXT_CHARS", "110000")
    current.cache_clear()
    yield
    monkeypatch.undo()
    current.cache_clear()


def send(client: TestClient, people: People, texts: Sequence[str]) -> list[str]:
    """One batch; the ids of its reports."""
    lines = "\n".join(json.dumps(report(text=text, platform_post_id=str(n))) for n, text in enumerate(texts))
    headers = {"Authorization": f"Bearer {people.partner_key}"}
    answer = client.post("/api/v1/reports/batch", content=lines, headers=headers).json()
    assert answer["accepted"] == len(texts), answer
    return [result["report_id"] for result in answer["results"]]


def work() -> bool:
    """One slice of a worker's time; whether that was all."""
    jobs.classify(str(Lane.BULK))
    return all_open()


def results() -> dict[str, tuple[bool, str | None]]:
    """By the platform's id: whether the case was assessed, and why not."""
    query = select(Post.platform_post_id, Case.assessed, PostScores.not_assessed).join(Case).join(PostScores)
    with transaction() as session:
        return {number: (assessed, reason) for number, assessed, reason in session.execute(query)}


def test_poison_posts_keep_nobody_waiting(long_posts: None, client: TestClient, people: People) -> None:
    texts = [text for poison in POISON.values() for text in (poison, f"{WORDS}, {unicodedata.name(poison[0], 'it')}")]
    accepted = send(client, people, texts)

    wait_until(work, seconds=60)

    assert_kept(accepted)
    assessed = results()
    for number, name in enumerate(POISON):
        neighbour = assessed[str(2 * number + 1)]
        assert neighbour == (True, None), f"the neighbour of {name}"
        if name in NO_WORDS:
            assert assessed[str(2 * number)] == (False, "no_words"), name
    assert assessed[str(2 * list(POISON).index("only emoji"))] == (True, None)


def test_longer_post_than_allowed_is_refused_alone_and_by_name(client: TestClient, people: People) -> None:
    lines = [json.dumps(report(text=text)) for text in (WORDS, "x" * 1_000_000, f"{WORDS} too")]

    headers = {"Authorization": f"Bearer {people.partner_key}"}
    answer = client.post("/api/v1/reports/batch", content="\n".join(lines), headers=headers).json()
    wait_until(work, seconds=60)

    assert [result["status"] for result in answer["results"]] == [202, 422, 202]
    assert answer["results"][1]["field"] == "text"
    assert_kept([result["report_id"] for result in answer["results"] if result["status"] == 202])


class BreaksOn:
    """A model that one post breaks, and with it every batch that the post is in."""

    version = "breaks"

    def __init__(self, poison: str) -> None:
        self.poison = poison
        self.calls = 0

    def score(self, texts: Sequence[str]) -> list[Scores]:
        self.calls += 1
        if any(self.poison in text for text in texts):
            raise MemoryError
        return [scores() for _ in texts]


def test_post_that_breaks_the_model_is_found_by_halves(
    client: TestClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BreaksOn("the bottle")
    monkeypatch.setattr(jobs, "pipeline", lambda: model)
    accepted = send(client, people, [f"invented post number {n}" for n in range(31)] + [WORDS])

    jobs.classify(str(Lane.BULK))

    assert_kept(accepted)
    assert [number for number, (assessed, _) in results().items() if not assessed] == ["31"]
    assert model.calls == 11  # one whole batch, and five times two halves
