"""One request for scores, whatever its interface: read the body, count it, wait in line."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from triage import accounts
from triage.api.reports import bounded_body
from triage.db import Partner
from triage.db.session import transaction
from triage.domain.errors import InvalidInput, TriageError, Unavailable
from triage.domain.scores import Scores
from triage.new_report import from_json, storable
from triage.settings import current
from workers.scoring import counters
from workers.scoring.line import Line

#: Texts in one request.
MOST_TEXTS = 100


class TooSlow(TriageError):
    """The body did not arrive in time."""

    status = 408
    title = "Too slow"


@dataclass(slots=True)
class Scoring:
    """What the three interfaces share.

    Args:
        version: the pipeline's.
        patience: how long a request waits for its scores, in seconds.
        body_patience: how long its body may take to arrive, in seconds.
        most_requests: how many may be inside at once; each may hold a body.
    """

    line: Line
    version: str
    patience: float = 60
    body_patience: float = 30
    most_requests: int = 256
    _requests: int = 0

    @contextmanager
    def one_request(self) -> Iterator[None]:
        """Be inside. Raises Unavailable when too many are."""
        if self._requests >= self.most_requests:
            counters.refused.inc()
            raise Unavailable("Too many requests at once; nothing was counted, send it again")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def json_of(self, request: Request) -> Any:
        """What the body says.

        Raises:
            TooLarge, TooSlow, InvalidInput: it is too large, does not come, or is no JSON.
        """
        try:
            async with asyncio.timeout(self.body_patience):
                raw = await bounded_body(request)
        except TimeoutError:
            raise TooSlow(f"The body did not arrive within {self.body_patience:g} seconds") from None
        return await run_in_threadpool(from_json, raw)

    async def score(self, partner: Partner, texts: Sequence[str]) -> list[Scores]:
        """Scores for each text, in order; each text counts against the partner's quota of scores for the day.

        Raises:
            Unavailable: too much waits already, or it took too long.
            QuotaExceeded: nothing is scored.
        """
        with self.line.room_for(texts):
            await run_in_threadpool(_count, partner, len(texts))
            waiting = asyncio.wrap_future(self.line.put(texts))
            try:
                return await asyncio.wait_for(waiting, self.patience)
            except TimeoutError:
                raise Unavailable("The scores took too long; send fewer texts, or send it again later") from None


def scoring_of(request: Request) -> Scoring:
    """The service that this request came to."""
    scoring: Scoring = request.app.state.scoring
    return scoring


def usable(text: str, *, field: str) -> str:
    """A text as it is scored: of the same length, without what is in no encoding.

    Raises:
        InvalidInput: it is longer than a post may be.
    """
    limit = current().max_text_chars
    if len(text) > limit:
        raise InvalidInput(f"The text is longer than {limit:,} characters", field=field)
    kept: str = storable(text)
    return kept


def _count(partner: Partner, texts: int) -> None:
    with transaction() as session:
        accounts.use_score_quota(session, partner, texts=texts, now=datetime.now(UTC))
