"""``triage doctor``: one page that says whether everything that came in is where it should be."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from redis.exceptions import RedisError
from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session

from triage import attendance, audit, backlog, cases, dead_letters, queue
from triage.db import Capture, Case, Event, Post, PostScores, Report
from triage.domain.errors import IllegalTransition
from triage.domain.lifecycle import CaseStatus
from triage.domain.words import CaptureStatus, Lane, ScoringStatus
from triage.settings import current
from workers import beats

#: A post that waits longer than this while nothing of its lane is scored is stuck.
STUCK_AFTER = timedelta(minutes=5)
#: An event without a seal for longer than this: sealing stands still.
UNSEALED_AFTER = timedelta(minutes=5)
#: So many seals are recomputed here; `triage audit verify` recomputes all.
NEWEST_SEALS = 1000
_NO_HISTORY: tuple[uuid.UUID | None, Iterator[Event]] = (None, iter(()))


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the page. ``ok`` is ``None`` where there is nothing to judge."""

    name: str
    value: str
    ok: bool | None = None
    advice: str = ""


def examine(session: Session) -> list[Finding]:
    """All findings: the caller prints them and exits 1 if any is not ok. Begins the session's transaction.

    One snapshot for all of them: what is counted twice, or compared, must not change in between.
    """
    session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
    now = datetime.now(UTC)
    return [
        *_counts(session),
        *_waiting(session, now),
        *_states(session),
        *_log(session),
        *_processes(session, now),
    ]


def _count(session: Session, query: object) -> int:
    return session.scalar(query) or 0  # type: ignore[call-overload]


def _counts(session: Session) -> list[Finding]:
    reports = _count(session, select(func.count()).select_from(Report))
    counted = _count(session, select(func.coalesce(func.sum(Case.report_count), 0)))
    posts = _count(session, select(func.count()).select_from(Post))
    in_case = _count(session, select(func.count()).select_from(Case))
    scored = _count(session, select(func.count(func.distinct(PostScores.post_id))))
    unassessed = _count(session, select(func.count()).select_from(Case).where(Case.assessed.is_(False)))
    unscored = (ScoringStatus.WANTED.value, ScoringStatus.NO_TEXT.value)
    # A post that is tried again waits too, and has its old result still.
    new = ~exists().where(PostScores.post_id == Post.id)
    waiting = _count(session, select(func.count()).where(Post.scoring.in_(unscored), new))
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


def _waiting(session: Session, now: datetime) -> list[Finding]:
    stuck = _stuck(session, now)
    captures = _count(session, select(func.count()).where(Capture.status == CaptureStatus.WANTED.value))
    dead = dead_letters.count(session)
    return [
        _backlog(session, now),
        *(_oldest(session, lane, now) for lane in Lane),
        Finding("URLs waiting to be captured", f"{captures:,}"),
        Finding(
            "stuck",
            f"{stuck:,}",
            stuck == 0,
            f"waiting for more than {_age(STUCK_AFTER)} while their lane stands still",
        ),
        Finding(
            "given up (opened without scores)",
            f"{dead:,}",
            None if dead else True,
            "`triage dead list` says why; when the cause is mended, `triage dead retry --all`" if dead else "",
        ),
    ]


def _backlog(session: Session, now: datetime) -> Finding:
    waiting = _count(session, select(func.count()).where(Post.scoring == ScoringStatus.WANTED.value))
    value = f"{waiting:,} (bulk intake stops at {current().backlog_limit:,})"
    why = backlog.too_much(backlog.measure(session, limit=current().backlog_limit), now=now)
    advice = f"{why}: batches are refused and imports wait; start more workers, `triage worker bulk`" if why else ""
    return Finding("posts waiting for scores", value, why is None, advice)


def _oldest(session: Session, lane: Lane, now: datetime) -> Finding:
    """A long wait is advice and no fault: whether the lane moves at all is judged by ``_stuck``."""
    name = f"oldest post waiting in {lane}"
    since = backlog.waiting_since(session, lane)
    if since is None:
        return Finding(name, "none", True)
    if now - since <= STUCK_AFTER:
        return Finding(name, _age(now - since), True)
    return Finding(name, _age(now - since), None, f"its worker does not keep up: start another `triage worker {lane}`")


def _stuck(session: Session, now: datetime) -> int:
    """Posts that nobody holds, old ones of lanes where nothing moves, and those dropped by a worker long ago.

    A long queue is no fault while its lane's workers take from it.
    """
    moving = (
        select(Post.lane)
        .join(PostScores, PostScores.post_id == Post.id)
        .where(PostScores.scored_at > now - STUCK_AFTER)
    )
    since = func.coalesce(Capture.captured_at, Post.created_at)  # a URL wants scores only once it is captured
    left = and_(since < now - STUCK_AFTER, Post.scoring_lease_until.is_(None), Post.lane.not_in(moving))
    dropped = Post.scoring_lease_until < now - STUCK_AFTER
    return _count(
        session,
        select(func.count())
        .select_from(Post)
        .outerjoin(Capture, Capture.post_id == Post.id)
        .where(Post.scoring == ScoringStatus.WANTED.value, or_(left, dropped)),
    )


def _states(session: Session) -> list[Finding]:
    """Fold every case's events again and compare with its row; cases and events side by side, whatever their number."""
    all_events = select(Event).where(Event.case_id.is_not(None)).order_by(Event.case_id, Event.id)
    all_cases = select(Case).order_by(Case.id)
    matching = total = 0
    with (
        closing(session.scalars(all_events, execution_options=audit.STREAMED)) as events,
        closing(session.scalars(all_cases, execution_options=audit.STREAMED)) as rows,
    ):
        histories = groupby(events, key=_case_id)
        case_id, history = next(histories, _NO_HISTORY)
        for case in rows:
            while case_id is not None and case_id < case.id:
                case_id, history = next(histories, _NO_HISTORY)
            total += 1
            matching += case_id == case.id and _row_matches(case, history)
    return [Finding("cases that match their events", f"{matching:,} of {total:,}", matching == total)]


def _case_id(event: Event) -> uuid.UUID | None:
    return event.case_id


def _row_matches(case: Case, events: Iterable[Event]) -> bool:
    try:
        return cases.folded(events) == cases.state_of(case)
    except IllegalTransition:
        return False


def _log(session: Session) -> list[Finding]:
    checked = audit.verify(session, newest=NEWEST_SEALS)
    value = f"{checked.sealed_events:,} events under the newest {checked.seals:,} seals"
    return [Finding("audit chain", value, checked.problem is None, checked.problem or ""), _sealing(session)]


def _sealing(session: Session) -> Finding:
    unsealed = audit.unsealed(session)
    if unsealed is None:
        return Finding("oldest event not yet sealed", "none", True)
    advice = "is `triage schedule` running?"
    if unsealed.oldest_transaction is not None:
        advice += f" The oldest open transaction is {_age(unsealed.oldest_transaction)} old: nothing after it is sealed"
    waits = _age(unsealed.oldest)
    return Finding("oldest event not yet sealed", f"{waits} old", unsealed.oldest <= UNSEALED_AFTER, advice)


def _age(length: timedelta) -> str:
    """In words, to the second; clocks that differ a little make no negative ages."""
    seconds = max(0, round(length.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _processes(session: Session, now: datetime) -> list[Finding]:
    findings = []
    try:
        queue.connection().ping()
        findings.append(Finding("Redis", "answers", True))
    except (RedisError, OSError):
        findings.append(Finding("Redis", "away", False, "work goes on when it is back; nothing is lost"))
    findings.append(_unattended(session))
    for beat in beats.in_service(session):
        hung = beats.hangs(beat, now=now)
        silent = now - beat.beat_at > beats.SILENT_AFTER
        state = "hung" if hung else "silent" if silent else "busy" if beat.busy_since else "idle"
        where = f"pid {beat.pid} on {beat.host}"
        findings.append(Finding(beat.name, f"{state} ({where})", not (hung or silent), "restart it"))
    return findings


def _unattended(session: Session) -> Finding:
    """Lanes where posts wait and no worker lives."""
    lost = attendance.without_worker(session)
    if not lost:
        return Finding("lanes with posts and no worker", "none", True)
    settings = current()
    advice = (
        f"start `triage worker {next(iter(lost))}`; until then cases open without scores after "
        f"{settings.unattended_minutes} min, urgent ones after {settings.unattended_urgent_minutes} min"
    )
    return Finding("lanes with posts and no worker", ", ".join(lost), False, advice)
