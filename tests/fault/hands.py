"""What workers do, in threads of the test and with scores of its own: for faults that no model has a part in."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.factories import report, scores
from tests.fault.promises import all_open
from tests.people import People
from triage import accounts, assessment, audit, intake
from triage.assessment import Claimed
from triage.db.session import transaction
from triage.domain.scores import NotAssessed, Scores
from triage.domain.words import Lane
from triage.intake import Reporter
from triage.new_report import NewReport
from workers import schedule

Answer = TypeVar("Answer")
_SYSTEM = audit.system("tests")


def accept(people: People, texts: Sequence[str | None], *, lane: Lane = Lane.BULK, **changes: object) -> list[str]:
    """Reports accepted from the first partner, committed; their ids."""
    reports = [NewReport.model_validate(report(text=text) | changes) for text in texts]
    reporter = Reporter(accounts.partner_actor(people.partner), partner=people.partner)
    with transaction() as session:
        accepted = intake.accept_reports(session, reporter, reports, lane=lane, now=datetime.now(UTC))
    return [str(one.report_id) for one in accepted]


def claim(lane: Lane = Lane.BULK, *, limit: int = 32, lease_seconds: int = 60, retry: bool = False) -> list[Claimed]:
    with transaction() as session:
        return assessment.claim_posts(session, lane, limit=limit, lease_seconds=lease_seconds, retry=retry)


def record(claims: Sequence[Claimed], given: Scores | None = None) -> int:
    scored = [(one, given or _scores_of(one.text)) for one in claims]
    with transaction() as session:
        return assessment.record_scores(session, _SYSTEM, scored, pipeline_version="t", now=datetime.now(UTC))


def _scores_of(text: str) -> Scores:
    return scores(review=0.9, TTL=0.9) if text else Scores(not_assessed=NotAssessed.EMPTY)


def work(lane: Lane = Lane.BULK, *, limit: int = 32) -> int:
    """One turn of a worker; how many batches the database broke."""
    broken = 0
    for retry, most in ((False, limit), (True, 1)):
        try:
            if claims := claim(lane, limit=most, lease_seconds=2, retry=retry):
                record(claims)
        except DBAPIError:  # as a job fails: the posts are taken again after their lease
            broken += 1
    return broken


def work_until_all_open(*lanes: Lane, seconds: float = 60) -> int:
    """A worker's life; how many batches the database broke."""
    broken, until = 0, time.monotonic() + seconds
    while not all_open():
        assert time.monotonic() < until, f"cases still wait after {seconds} s"
        broken += sum(work(lane) for lane in lanes or (Lane.BULK,))
    return broken


def keep_order() -> None:
    """Everything that the schedule process does, once."""
    for _, task in schedule.TASKS:
        with transaction() as session:
            task(session, datetime.now(UTC))


def at_once(*works: Callable[[], Answer]) -> "list[Answer | Exception]":
    """All of them in threads that start together; what each returned or raised, in order."""
    together = Barrier(len(works))

    def begin(work: Callable[[], Answer]) -> "Answer | Exception":
        together.wait(20)
        try:
            return work()
        except Exception as error:  # noqa: BLE001 -- handed to the test
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def in_transaction(do: Callable[[Session], Answer]) -> Callable[[], Answer]:
    """``do`` in a connection and a transaction of its own."""

    def whole() -> Answer:
        with transaction() as session:
            return do(session)

    return whole
