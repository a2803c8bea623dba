"""``triage doctor``: one page that says whether everything that came in is where it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from redis.exceptions import RedisError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from triage import audit, cases, queue
from triage.db import Capture, Case, DeadLetter, Event, Post, PostScores, Report, WorkerBeat
from triage.domain.errors import IllegalTransition
from triage.domain.lifecycle import CaseStatus
from triage.domain.words import CaptureStatus, ScoringStatus
from workers import beats

#: A post that waits longer than this without anybody holding it is stuck.
STUCK_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the page. ``ok`` is ``None`` where there is nothing to judge."""

    name: str
    value: str
    ok: bool | None = None
    advice: str = ""


def examine(session: Session) -> list[Finding]:
    """All findings, worst last to miss: the caller prints them and exits 1 if any is not ok."""
    return [*_counts(session), *_waiting(session), *_states(session), *_log(session), *_processes(session)]


def _count(session: Session, query: object) -> int:
    return session.scalar(query) or 0  # type: ignore[call-overload]


def _counts(session: Session) -> list[Finding]:
    reports = _count(session, select(func.count()).select_from(Report))
    counted = _count(session, select(func.coalesce(func.sum(Case.report_count), 0)))
    posts = _count(session, select(func.count()).select_from(Post))
    in_case = _count(session, select(func.count()).select_from(Case))
    scored = _count(session, select(func.count(func.distinct(PostScores.post_id))))
    unassessed = _count(
        session, select(func.count(func.distinct(PostScores.post_id))).where(PostScores.not_assessed.is_not(None))
    )
    unscored = (ScoringStatus.WANTED.value, ScoringStatus.NO_TEXT.value)
    waiting = _count(session, select(func.count()).where(Post.scoring.in_(unscored)))
    opened = _count(session, select(func.count()).select_from(Case).where(Case.status != CaseStatus.WAITING.value))
    return [
        Finding("reports received", f"{reports:,}"),
        Finding("reports counted in cases", f"{counted:,}", counted == reports, "a report is in no case"),
        Finding("posts", f"{posts:,}"),
        Finding("posts in a case", f"{in_case:,}", in_case == posts, "a post has no case"),
        Finding(
            "posts scored",
            f"{scored:,} (of these not assessed: {unassessed:,})",
            scored + waiting == posts,
            "a post neither has scores nor waits for them",
        ),
        Finding("cases opened for a person", f"{opened:,}", opened == scored, "scores without an open case"),
    ]


def _waiting(session: Session) -> list[Finding]:
    now = datetime.now(UTC)
    waiting = _count(session, select(func.count()).where(Post.scoring == ScoringStatus.WANTED.value))
    stuck = _count(
        session,
        select(func.count()).where(
            Post.scoring == ScoringStatus.WANTED.value,
            Post.created_at < now - STUCK_AFTER,
            func.coalesce(Post.scoring_lease_until, now - STUCK_AFTER) < now,
        ),
    )
    captures = _count(session, select(func.count()).where(Capture.status == CaptureStatus.WANTED.value))
    dead = _count(session, select(func.count()).select_from(DeadLetter))
    return [
        Finding("posts waiting for scores", f"{waiting:,}"),
        Finding("URLs waiting to be captured", f"{captures:,}"),
        Finding("stuck", f"{stuck:,}", stuck == 0, f"waiting for more than {STUCK_AFTER}; is a worker running?"),
        Finding("given up (opened without scores)", f"{dead:,}", None if dead else True),
    ]


def _states(session: Session) -> list[Finding]:
    """Fold every case's events again and compare with its row."""
    wrong = checked = 0
    rows = {case.id: case for case in session.scalars(select(Case))}
    events = session.scalars(
        select(Event)
        .where(Event.case_id.is_not(None))
        .order_by(Event.case_id, Event.id)
        .execution_options(yield_per=1000)
    )
    for case_id, own in groupby(events, key=lambda event: event.case_id):
        case = rows.get(case_id) if case_id else None
        if case is None:
            continue
        checked += 1
        wrong += not _row_matches(case, list(own))
    return [
        Finding("cases that match their events", f"{checked - wrong:,} of {len(rows):,}", checked - wrong == len(rows))
    ]


def _row_matches(case: Case, events: Sequence[Event]) -> bool:
    try:
        return cases.folded(events) == cases.state_of(case)
    except IllegalTransition:
        return False


def _log(session: Session) -> list[Finding]:
    checked = audit.verify(session)
    value = (
        f"{checked.sealed_events:,} events under {checked.seals:,} seals, {checked.unsealed_events:,} not yet sealed"
    )
    return [Finding("audit chain", value, checked.problem is None, checked.problem or "")]


def _processes(session: Session) -> list[Finding]:
    now = datetime.now(UTC)
    findings = []
    try:
        queue.connection().ping()
        findings.append(Finding("Redis", "answers", True))
    except (RedisError, OSError):
        findings.append(Finding("Redis", "away", False, "work goes on when it is back; nothing is lost"))
    findings.append(_unattended(session, now))
    for beat in session.scalars(select(WorkerBeat).order_by(WorkerBeat.name)):
        hung = beats.is_hung(session, beat.name, beat.pid, now=now)
        silent = now - beat.beat_at > beats.SILENT_AFTER
        state = "hung" if hung else "silent" if silent else "busy" if beat.busy_since else "idle"
        findings.append(Finding(beat.name, f"{state} (pid {beat.pid})", not (hung or silent), "restart it"))
    return findings


def _unattended(session: Session, now: datetime) -> Finding:
    """Lanes where posts wait and no worker lives."""
    attended = set(session.scalars(select(WorkerBeat.lane).where(WorkerBeat.beat_at > now - beats.SILENT_AFTER)))
    waiting = set(session.scalars(select(Post.lane).where(Post.scoring == ScoringStatus.WANTED.value).distinct()))
    lost = sorted(waiting - attended)
    advice = f"start `triage worker {lost[0]}`" if lost else ""
    return Finding("lanes with posts and no worker", ", ".join(lost) or "none", not lost, advice)
