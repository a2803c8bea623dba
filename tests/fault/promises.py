"""What holds after every fault: nothing lost, nothing done twice, and a person can see it.

The service may still be running: whoever asks waits first until the work is done (``wait_until(all_open)``).
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from triage import audit, queries
from triage.db import Case, DeadLetter, Event, Post, PostScores, Report
from triage.db.session import transaction
from triage.domain.lifecycle import CaseEvent, CaseStatus
from triage.domain.scores import NotAssessed
from workers import doctor

#: What an installation is judged by apart from its processes, which the tests kill on purpose.
_OF_PROCESSES = ("worker", "schedule", "scorer", "Redis", "oldest event not yet sealed")


def wait_until(true: Callable[[], bool], *, seconds: float, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:.0f} s"
        time.sleep(0.02)


def count(query: object) -> int:
    with transaction() as session:
        return session.scalar(query) or 0  # type: ignore[call-overload]


def all_open() -> bool:
    """Whether no case waits for its scores any more."""
    return count(select(func.count()).where(Case.status == CaseStatus.WAITING.value)) == 0


def assert_kept(accepted: Collection[str]) -> None:
    """The three promises, for the ids of all reports that were ever answered with 202."""
    _seal_everything()
    with transaction() as session:
        wrong = [finding for finding in doctor.examine(session) if finding.ok is False and not _is_process(finding)]
        assert wrong == []
        _assert_nothing_lost(session, accepted)
        _assert_nothing_twice(session)
        _assert_a_person_can_see_it(session)


def _is_process(finding: doctor.Finding) -> bool:
    return any(word in finding.name for word in _OF_PROCESSES)


def _seal_everything() -> None:
    """An event is sealed once no older transaction runs; whatever runs beside the tests ends soon."""

    def sealed() -> bool:
        with transaction() as session:
            audit.seal(session)
        with transaction() as session:
            return audit.unsealed(session) is None

    wait_until(sealed, seconds=20, what="sealing")


def _assert_nothing_lost(session: Session, accepted: Collection[str]) -> None:
    stored = {str(report_id) for report_id in session.scalars(select(Report.id))}
    assert stored == set(accepted)
    assert session.scalar(select(func.coalesce(func.sum(Case.report_count), 0))) == len(stored)
    log = audit.verify(session)
    assert (log.problem, log.unsealed_events) == (None, 0)
    assert log.sealed_events == session.scalar(select(func.count()).select_from(Event))


def _assert_nothing_twice(session: Session) -> None:
    reported = select(Event.object_id).where(Event.kind == str(CaseEvent.REPORTED))
    told = session.scalars(reported).all()
    assert len(told) == len(set(told)) == session.scalar(select(func.count()).select_from(Report))
    given_up = session.scalars(select(DeadLetter.object_id)).all()
    assert len(given_up) == len(set(given_up))
    _assert_assessed_once(session)


def _assert_assessed_once(session: Session) -> None:
    """One event for each set of scores; two sets only where a case was opened while its lane had no worker."""
    read = select(Case.id, PostScores.not_assessed).join(PostScores, PostScores.post_id == Case.post_id)
    sets = session.execute(read).all()
    told = session.scalars(select(Event.case_id).where(Event.kind == str(CaseEvent.ASSESSED))).all()
    assert Counter(told) == Counter(case_id for case_id, _ in sets)
    meanwhile = {case_id for case_id, reason in sets if reason == NotAssessed.NO_WORKER.value}
    assert all(times == 1 or (times == 2 and case_id in meanwhile) for case_id, times in Counter(told).items())
    assert len(set(told)) == session.scalar(select(func.count()).select_from(Case))


def _assert_a_person_can_see_it(session: Session) -> None:
    """Every case is in the queue, or was decided by somebody, with scores or openly without."""
    rows = session.execute(
        select(Case.status, Case.assessed, PostScores.labels, PostScores.not_assessed, Post.scoring)
        .join(Post, Post.id == Case.post_id)
        .outerjoin(PostScores, PostScores.post_id == Post.id)
        .ext(distinct_on(Case.id))
        .order_by(Case.id, PostScores.id.desc())  # the newest reading
    ).all()
    for status, assessed, labels, not_assessed, scoring in rows:
        assert status != CaseStatus.WAITING.value
        assert (assessed, bool(labels), not_assessed is None) in ((True, True, True), (False, False, False))
        assert scoring in ("done", "failed") or (scoring, not_assessed) == ("wanted", NotAssessed.NO_WORKER.value)
    opened = sum(row.status == CaseStatus.OPEN.value for row in rows)
    assert queries.counts(session, now=datetime.now(UTC)).open == opened
