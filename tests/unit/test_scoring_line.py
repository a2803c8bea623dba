"""The line in front of the model: what is scored together, what is refused, and what is no longer wanted."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.factories import scores
from triage.domain.errors import Unavailable
from triage.domain.scores import NotAssessed, Scores
from workers.scoring.line import BATCH_CHARACTERS, BATCH_TEXTS, Line


class Numbers:
    """A model that reads the number a text opens with, one batch at a time, each when it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.reading = threading.Event()
        self.may_go_on = threading.Event()

    def score(self, texts: Sequence[str]) -> list[Scores]:
        self.batches.append(list(texts))
        self.reading.set()
        assert self.may_go_on.wait(20)
        return [scores(TTL=int(text.split()[0]) / 1000) for text in texts]


@pytest.fixture
def model() -> Numbers:
    return Numbers()


@contextmanager
def started(line: Line, model: Numbers) -> Iterator[Line]:
    line.start()
    try:
        yield line
    finally:
        model.may_go_on.set()
        line.close()


def numbers(answer: Sequence[Scores]) -> list[int]:
    return [round(one.labels["TTL"] * 1000) for one in answer]


def test_what_comes_while_a_batch_is_read_is_read_together(model: Numbers) -> None:
    with started(Line(model.score), model) as line:
        first = line.put(["1"])
        assert model.reading.wait(20)
        later = [line.put([str(number)]) for number in range(2, 22)]
        model.may_go_on.set()

        assert numbers(first.result(20)) == [1]
        assert [numbers(answer.result(20)) for answer in later] == [[number] for number in range(2, 22)]

    assert [len(batch) for batch in model.batches] == [1, 20]


def test_large_request_is_read_in_parts_and_answered_in_order(model: Numbers) -> None:
    model.may_go_on.set()
    with started(Line(model.score), model) as line:
        answer = line.put([str(number) for number in range(100)]).result(20)

    assert numbers(answer) == list(range(100))
    assert [len(batch) for batch in model.batches] == [BATCH_TEXTS, 100 - BATCH_TEXTS]


def test_long_texts_make_small_batches(model: Numbers) -> None:
    model.may_go_on.set()
    third = "7 " + "x" * (BATCH_CHARACTERS // 3)
    longer_than_a_batch = "8 " + "x" * BATCH_CHARACTERS
    with started(Line(model.score), model) as line:
        answer = line.put([third, third, third, longer_than_a_batch, "9"]).result(20)

    assert numbers(answer) == [7, 7, 7, 8, 9]
    assert [len(batch) for batch in model.batches] == [2, 1, 1, 1]


@pytest.mark.parametrize("refused", [["1", "2", "3"], ["1" * 300]], ids=["too many", "too long"])
def test_full_line_refuses_until_somebody_leaves(model: Numbers, refused: list[str]) -> None:
    line = Line(model.score, most_texts=4, most_characters=200)

    with line.room_for(["1", "2"]):
        with line.room_for(["3"]), pytest.raises(Unavailable), line.room_for(refused):
            pass
        assert line.texts == 2
    with line.room_for(["1" * 300] * 9):  # alone in an empty line
        assert line.texts == 9
    assert line.texts == 0


def test_what_nobody_wants_any_more_is_not_read(model: Numbers) -> None:
    with started(Line(model.score), model) as line:
        large = line.put([str(number) for number in range(200)])
        assert model.reading.wait(20)
        unwanted = line.put(["500"])
        after = line.put(["501"])
        assert large.cancel()
        assert unwanted.cancel()
        model.may_go_on.set()

        assert numbers(after.result(20)) == [501]

    assert [len(batch) for batch in model.batches] == [BATCH_TEXTS, 1]


def test_model_that_fails_answers_not_assessed_and_the_line_goes_on(
    model: Numbers, caplog: pytest.LogCaptureFixture
) -> None:
    model.may_go_on.set()
    with started(Line(model.score), model) as line:
        [failed] = line.put(["unmistakable words"]).result(20)
        assert numbers(line.put(["5"]).result(20)) == [5]

    assert failed.not_assessed is NotAssessed.MODEL_FAILED
    assert [(record.msg, record.__dict__["reason"]) for record in caplog.records] == [
        ("a batch was not assessed", "ValueError")
    ]
    assert "unmistakable" not in caplog.text


def test_closed_line_takes_nothing(model: Numbers) -> None:
    line = Line(model.score)
    assert not line.alive
    with started(line, model):
        assert line.alive
    assert not line.alive

    with pytest.raises(Unavailable):
        line.put(["1"])
