"""The waiting line in front of the model: one thread scores what waits, many texts at a time.

Nothing is held back to make a batch larger: whoever comes while one batch is scored is in the next.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress

from triage.domain.errors import Unavailable
from triage.domain.scores import NotAssessed, Scores
from workers.scoring import counters

#: One call of the model gets at most so many texts, and stops before so many characters: long posts are read in
#: windows, and nobody should wait behind minutes of them.
BATCH_TEXTS = 64
BATCH_CHARACTERS = 50_000
#: So much may wait, or be under way, before the next request is refused: some tens of seconds of work for one core.
MOST_TEXTS = 1_000
MOST_CHARACTERS = 500_000

logger = logging.getLogger(__name__)


class Line:
    """Texts that wait for the model, first come first served, and the one thread that has the model.

    Args:
        score: scores for each text, in order; called by one thread only.
        most_texts: how many texts may wait or be under way; a request that finds nobody waiting always has room.
        most_characters: the same in characters.
    """

    def __init__(
        self,
        score: Callable[[Sequence[str]], Sequence[Scores]],
        *,
        most_texts: int = MOST_TEXTS,
        most_characters: int = MOST_CHARACTERS,
    ) -> None:
        self._score = score
        self._most_texts, self._most_characters = most_texts, most_characters
        self._changed = threading.Condition()
        self._waiting: deque[tuple[_Request, int]] = deque()
        self._texts = self._characters = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, *, patience: float = 5.0) -> None:
        """Let the batch under way end, for at most ``patience`` seconds; whoever waits still is not scored."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(patience)

    @property
    def alive(self) -> bool:
        """Whether somebody scores what is put into the line."""
        return self._thread.is_alive() and not self._closed

    @property
    def texts(self) -> int:
        """How many texts wait or are under way."""
        return self._texts

    @contextmanager
    def room_for(self, texts: Sequence[str]) -> Iterator[None]:
        """Keep room for ``texts`` from before they are put in until their scores are there, or nobody wants them.

        Raises:
            Unavailable: there is none.
        """
        texts_more, characters_more = len(texts), sum(map(len, texts))
        with self._changed:
            too_many = self._texts + texts_more > self._most_texts
            too_long = self._characters + characters_more > self._most_characters
            if self._texts and (too_many or too_long):
                counters.refused.inc()
                raise Unavailable("Too many texts wait to be scored; nothing was counted, send it again")
            self._texts += texts_more
            self._characters += characters_more
        try:
            yield
        finally:
            with self._changed:
                self._texts -= texts_more
                self._characters -= characters_more

    def put(self, texts: Sequence[str]) -> "Future[list[Scores]]":
        """Put texts into the line, within ``room_for``. Cancelling the future takes those out that still wait.

        Raises:
            Unavailable: the line is closed.
        """
        request = _Request(texts)
        with self._changed:
            if self._closed:
                raise Unavailable("The scorer is stopping; send it again")
            self._waiting.extend((request, position) for position in range(len(texts)))
            self._changed.notify()
        return request.answer

    def _work(self) -> None:
        while batch := self._next_batch():
            scores = self._score_whole([request.texts[position] for request, position in batch])
            _count(scores)
            for (request, position), one in zip(batch, scores, strict=True):
                request.fill(position, one)

    def _next_batch(self) -> "list[tuple[_Request, int]]":
        """What waits, up to one batch; waits for the first. Empty when the line is closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return []
                if batch := self._take():
                    return batch

    def _take(self) -> "list[tuple[_Request, int]]":
        batch: list[tuple[_Request, int]] = []
        characters = 0
        while self._waiting and len(batch) < BATCH_TEXTS:
            request, position = self._waiting[0]
            characters += len(request.texts[position])
            if batch and characters > BATCH_CHARACTERS:
                break
            self._waiting.popleft()
            if not request.answer.cancelled():
                batch.append((request, position))
        return batch

    def _score_whole(self, texts: list[str]) -> Sequence[Scores]:
        try:
            return self._score(texts)
        except Exception as error:  # noqa: BLE001 -- whatever breaks, each text is answered, and the line goes on
            logger.error("a batch was not assessed", extra={"texts": len(texts), "reason": type(error).__name__})
            return [Scores(not_assessed=NotAssessed.MODEL_FAILED)] * len(texts)


def _count(batch: Sequence[Scores]) -> None:
    counters.batches.inc()
    counters.texts.inc(len(batch))
    for one in batch:
        if one.not_assessed is not None:
            counters.not_assessed.labels(one.not_assessed.value).inc()


class _Request:
    """The texts of one request, which may be scored in several batches. Filled by the scoring thread alone."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.answer: Future[list[Scores]] = Future()
        self._scores: dict[int, Scores] = {}

    def fill(self, position: int, scores: Scores) -> None:
        self._scores[position] = scores
        if len(self._scores) == len(self.texts):
            with suppress(InvalidStateError):  # nobody waits any more, since a moment ago
                self.answer.set_result([self._scores[at] for at in range(len(self.texts))])
