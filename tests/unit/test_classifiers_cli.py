"""What ``triage score`` reads and writes, without a model."""

import io
import json
from collections.abc import Sequence

import pytest

from classifiers.cli import InputLine, LineError, read_line, score_lines
from classifiers.published import as_json
from triage.domain.scores import EvidenceSpan, NotAssessed, Scores
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES


class OnePostAtATime:
    """A pipeline that scores by length, to test the reading and writing around it."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, texts: Sequence[str]) -> list[Scores]:
        self.batches.append(len(texts))
        return [scores(review=min(len(text) / 100, 1.0)) for text in texts]


def scores(*, review: float) -> Scores:
    return Scores(
        labels=dict.fromkeys(SCORED_CODES, 0.01),
        contexts=dict.fromkeys(CONTEXTS, 0.01),
        review=review,
        evidence=(EvidenceSpan(0, 4, "VTH", "lexicon", note="also: weather"),),
        versions={"pipeline": "p"},
    )


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b'{"id": "a", "text": "hello"}\n', InputLine("a", "hello")),
        (b'{"text": "hello", "id": 5}\r\n', InputLine("5", "hello")),
        (b'{"text": ""}', InputLine("7", "")),
        ("just words £5\n".encode(), InputLine("7", "just words £5")),
        (b" \n", None),
    ],
)
def test_line_is_read(raw: bytes, line: InputLine | None) -> None:
    assert read_line(raw, 7) == line


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"id": "a"}', '"text": is missing'),
        (b'{"text": 5}', '"text": must be a string, is int'),
        (b'{"text": "a", "id": [1]}', '"id": must be'),
        (b'{"text": "a"', "not JSON"),
        (b'{"text": ' + b"[" * 100_000, "not JSON"),
        (b"caf\xe9", "not UTF-8 at byte 3"),
    ],
)
def test_bad_line_is_refused_with_its_field(raw: bytes, message: str) -> None:
    with pytest.raises(LineError, match=message):
        read_line(raw, 1)


def test_result_has_the_published_form() -> None:
    row = as_json("a", scores(review=0.97))

    assert list(row) == [
        "id", "flagged", "tier", "assessed", "labels", "contexts", "evidence", "reasons", "versions",
    ]  # fmt: skip
    assert (row["flagged"], row["assessed"]) == (True, True)
    assert set(row["labels"]) == set(SCORED_CODES)
    assert row["evidence"] == [{"start": 0, "end": 4, "code": "VTH", "source": "lexicon", "note": "also: weather"}]
    assert set(row["versions"]) == {"pipeline", "policy"}


def test_not_assessed_is_not_clean() -> None:
    row = as_json("a", Scores(not_assessed=NotAssessed.NO_WORDS))

    assert (row["flagged"], row["assessed"], row["labels"]) == (True, False, {})


def test_bad_lines_do_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = OnePostAtATime()
    source = io.BytesIO(b'plain\n{"id": "x"}\n\n{"id": "y", "text": "fine"}\nbad \xff\n')

    bad = score_lines(pipeline, source)

    out, err = capsys.readouterr()
    assert bad == 2
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["1", "y"]
    assert err.splitlines() == ['line 2: "text": is missing', "line 5: not UTF-8 at byte 4"]


def test_posts_are_scored_in_batches_as_they_come() -> None:
    pipeline = OnePostAtATime()

    score_lines(pipeline, (b"post\n" for _ in range(600)))

    assert pipeline.batches == [256, 256, 88]
