"""An analyst's URL in; a wanted URL fetched once, kept as evidence, and turned into a post that wants scores.

A submission is a report like any other, with a justification. The row in ``captures`` is the work item:
claimed under a lease, fetched and stored outside any transaction, then recorded together with the post's
text. A page is fetched until it was had once, or three times at most, and never again: nobody's account is
watched. When it cannot be had, the post goes on without text, so that its case opens for a person.
"""

import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlalchemy.orm import Session

from triage import accounts, audit, dead_letters, evidence, intake, new_report, page_text, queue, safe_fetch
from triage.audit import Actor, Entry
from triage.db import Capture, Case, Decision, Post, Report, User
from triage.db.session import transaction
from triage.domain.errors import InvalidInput
from triage.domain.lifecycle import CaseStatus, Outcome
from triage.domain.words import AcquisitionMode, CaptureStatus, Lane, Operation, Purpose, Role, ScoringStatus, Work
from triage.evidence import EvidenceAltered, EvidenceNotKept
from triage.intake import Accepted, Reporter
from triage.new_report import NewReport, Short, refusal
from triage.page_text import PageText
from triage.queue import Bell
from triage.safe_fetch import Fetched, FetchFailed, FetchRefused, Problem
from triage.settings import current

MAX_ATTEMPTS = 3
METHOD = "http_get"
TOOL_VERSION = f"triage-capture 1.0, httpcore {version('httpcore')}, selectolax {version('selectolax')}"
#: A fetch is bounded by ``capture_seconds``; storing and recording what came may take this much longer.
_LEASE_MARGIN = timedelta(seconds=45)
_FIRST_RETRY_SECONDS = 30
#: Neither a lease nor a wait for the next attempt reaches further ahead; see ``_free``.
_FARTHEST = timedelta(minutes=10)
NOT_FINISHED = "not_finished"
NOT_STORED = "not_stored"

#: Why a capture failed, as a person reads it after "could not be captured because ".
REASONS: Mapping[str, str] = {
    Problem.BAD_URL: "the address is not one that can be fetched",
    Problem.HOST_NOT_ALLOWED: "it is, or leads to, a site that is not on the list",
    Problem.PORT_NOT_ALLOWED: "it names a port other than the usual one",
    Problem.PRIVATE_ADDRESS: "it leads into a private network",
    Problem.TOO_MANY_REDIRECTS: "it leads on to other pages without end",
    Problem.TOO_LARGE: "the page is too large",
    Problem.TYPE_NOT_ALLOWED: "it is not a page of text",
    Problem.NEEDS_LOG_IN: "the page is not public",
    Problem.GONE: "the page is no longer there",
    Problem.NOT_SERVED: "the site did not serve the page",
    Problem.TIMEOUT: "the site was too slow",
    Problem.CONNECTION: "the site could not be reached",
    Problem.CERTIFICATE: "the site could not prove that it is genuine",
    Problem.SERVER_ERROR: "the site reported an error of its own",
    Problem.BROKEN_ANSWER: "the site's answer was broken",
    NOT_FINISHED: "the capture was interrupted too often",
    NOT_STORED: "the evidence could not be stored",
}
_PLATFORM_OF_HOST = {"twitter.com": "x", "youtu.be": "youtube", "t.me": "telegram"}


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


Note = Annotated[str, BeforeValidator(_stripped), Field(min_length=10, max_length=2000)]


class NewSubmission(BaseModel):
    """A URL as an analyst submits it. The three notes are what a person later reads beside the case."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, BeforeValidator(_stripped), Field(min_length=1, max_length=2000)]
    platform: Short | None = Field(None, description="Derived from the address when left out")
    purpose: Purpose
    acquisition_mode: Literal[AcquisitionMode.POLICE_TASKING, AcquisitionMode.POLICE_OPEN_SOURCE]
    force_code: Annotated[Short, BeforeValidator(_stripped)]
    operation_ref: Annotated[Short, BeforeValidator(_stripped)]
    necessity: Note = Field(description="Why this page is needed for the purpose")
    proportionality: Note = Field(description="Why nothing less intrusive would do")
    collateral_intrusion: Note = Field(description="Who else the page shows, and what is done about it")


def parse(value: Any) -> NewSubmission:
    """Check a submission.

    Raises:
        InvalidInput: naming the first wrong field. Never quotes the value.
    """
    try:
        return NewSubmission.model_validate(value)
    except ValidationError as error:
        raise refusal(error) from None


def submit_url(session: Session, user: User, submission: NewSubmission, *, now: datetime) -> Accepted:
    """Accept an analyst's URL as a report that waits for its capture.

    Raises:
        Forbidden: the user is not an analyst.
        InvalidInput: the site is not on the list, or the address is none that may be fetched.
    """
    accounts.require(user, Role.ANALYST)
    report = _report_of(submission)
    notes = submission.model_dump(include={"necessity", "proportionality", "collateral_intrusion"})
    reporter = Reporter(accounts.actor_of(user), user_id=user.id)
    return intake.accept_reports(session, reporter, [report], lane=Lane.LIVE, now=now, justification=notes)[0]


def _report_of(submission: NewSubmission) -> NewReport:
    settings = current()
    try:
        target = safe_fetch.check(
            submission.url, allowed_hosts=settings.allowed_hosts, allow_private=settings.capture_allow_private
        )
    except FetchRefused as error:
        raise InvalidInput(f"This cannot be captured: {REASONS[error.problem]}", field="url") from None
    return new_report.parse(
        {
            "url": submission.url,
            "platform": submission.platform or platform_of(target.host),
            "purpose": submission.purpose,
            "acquisition_mode": submission.acquisition_mode,
            "force_code": submission.force_code,
            "operation_ref": submission.operation_ref,
            "urgent": submission.purpose is Purpose.THREAT_TO_LIFE,
        }
    )


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of one of an analyst's submissions; ``status`` in words.

    ``missing`` is what a reviewer wrote who returned it to its submitter; of other decisions nothing is told.
    """

    report_id: uuid.UUID
    case_number: int
    url: str
    submitted_at: datetime
    status: str
    missing: str | None


def own_submissions(session: Session, user: User, *, limit: int) -> list[Submission]:
    """The user's submissions, newest first.

    Raises:
        Forbidden: the user is not an analyst.
    """
    accounts.require(user, Role.ANALYST)
    missing = (
        select(Decision.reasons)
        .where(Decision.case_id == Case.id, Decision.outcome == Outcome.RETURN.value, Case.outcome == Decision.outcome)
        .order_by(Decision.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    told = (Case.status, Capture.status, Capture.failure)
    rows = session.execute(
        select(Report.id, Case.number, Capture.url, Report.received_at, missing, *told)
        .join(Case, Case.id == Report.case_id)
        .join(Capture, Capture.post_id == Case.post_id)
        .where(Report.submitted_by == user.id)
        .order_by(Report.received_at.desc(), Report.id.desc())
        .limit(limit)
    )
    return [
        Submission(
            report_id=report_id,
            case_number=number,
            url=url,
            submitted_at=received_at,
            status="returned to you" if what else _in_words(*states),
            missing=what,
        )
        for report_id, number, url, received_at, what, *states in rows
    ]


def _in_words(case_status: str, capture_status: str, failure: str | None) -> str:
    if case_status in (CaseStatus.DECIDED, CaseStatus.AWAITING_APPROVAL):
        return "decided"
    if capture_status == CaptureStatus.FAILED:
        return f"could not be captured because {REASONS[failure or NOT_FINISHED]}; a person reviews the report"
    if case_status == CaseStatus.OPEN:
        return "in review"
    return "captured" if capture_status == CaptureStatus.DONE else "waiting"


def platform_of(host: str) -> str:
    """The platform's name, from the listed host that covers ``host``: ``m.youtube.com`` is ``youtube``."""
    covering = max((listed for listed in current().allowed_hosts if safe_fetch.is_allowed(host, {listed})), key=len)
    return _PLATFORM_OF_HOST.get(covering) or covering.split(".")[0]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A URL to fetch, held by ``lease`` until somebody else may take it."""

    capture_id: uuid.UUID
    url: str
    attempt: int
    lease: uuid.UUID


def _free(now: datetime) -> ColumnElement[bool]:
    """It waits, nobody holds it, and its time has come. A time too far ahead is one of a clock since put back."""
    farthest = now + max(_FARTHEST, 2 * timedelta(seconds=current().capture_seconds))
    return and_(
        Capture.status == CaptureStatus.WANTED.value,
        or_(Capture.lease_until.is_(None), Capture.lease_until < now, Capture.lease_until > farthest),
        or_(Capture.not_before.is_(None), Capture.not_before <= now, Capture.not_before > farthest),
    )


def has_work(session: Session, *, now: datetime) -> bool:
    """Whether a URL waits that nobody holds: for the sweep. A capture that is done or failed never waits again."""
    return session.scalar(select(Capture.id).where(_free(now)).limit(1)) is not None


def claim(session: Session, *, now: datetime) -> Claimed | None:
    """Take the next URL, urgent posts first. Another worker skips the locked row and sees the lease afterwards."""
    by_lane = case({str(Lane.URGENT): 0, str(Lane.LIVE): 1}, value=Post.lane, else_=2)
    row = session.scalar(
        select(Capture)
        .join(Post, Post.id == Capture.post_id)
        .where(_free(now), Capture.attempts < MAX_ATTEMPTS)
        .order_by(by_lane, Capture.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Capture)
    )
    if row is None:
        return None
    row.attempts += 1
    row.lease = uuid.uuid4()
    row.lease_until = now + timedelta(seconds=current().capture_seconds) + _LEASE_MARGIN
    return Claimed(row.id, row.url, row.attempts, row.lease)


def capture_next(*, now: datetime) -> bool:
    """Fetch, keep and record the next URL; returns whether there was one."""
    with transaction() as session:
        given_up = give_up(session, now=now)
        claimed = claim(session, now=now)
    if claimed is None:
        return given_up > 0
    settings = current()
    try:
        fetched = safe_fetch.fetch(
            claimed.url,
            allowed_hosts=settings.allowed_hosts,
            allow_private=settings.capture_allow_private,
            max_bytes=settings.capture_max_bytes,
            seconds=settings.capture_seconds,
        )
        sha256 = evidence.keep(settings.evidence_dir, fetched.content)
    except FetchRefused as error:
        _settle(claimed, str(error.problem), retry=False, now=now)
    except FetchFailed as error:
        _settle(claimed, str(error.problem), retry=True, now=now)
    except (EvidenceNotKept, EvidenceAltered):
        _settle(claimed, NOT_STORED, retry=True, now=now)
    else:
        page = page_text.extract(
            fetched.content,
            content_type=fetched.content_type,
            charset=fetched.charset,
            limit=settings.max_text_chars,
        )
        with transaction() as session:
            record(session, claimed, fetched, sha256, page)
    return True


def record(session: Session, claimed: Claimed, fetched: Fetched, sha256: str, page: PageText) -> bool:
    """Store what was captured and let the post want scores; returns whether the capture was still ours.

    A capture whose lease another worker took over meanwhile is left to that worker.
    """
    row = _held(session, claimed)
    if row is None:
        return False
    row.status = str(CaptureStatus.DONE)
    row.final_url, row.http_status, row.content_type = fetched.final_url, fetched.status, fetched.content_type
    row.headers, row.sha256, row.size_bytes = fetched.headers, sha256, len(fetched.content)
    row.captured_at, row.method, row.tool_version = fetched.fetched_at, METHOD, TOOL_VERSION
    row.lease = row.lease_until = row.not_before = row.failure = None
    data = {"sha256": sha256, "size_bytes": len(fetched.content), "method": METHOD, "attempts": row.attempts}
    _note(session, row, "capture.done", data)
    _send_on(session, row.post_id, page)
    return True


def give_up(session: Session, *, now: datetime, limit: int = 100) -> int:
    """Close captures that were begun often enough and never finished, a killed worker's; returns how many."""
    rows = session.scalars(
        select(Capture)
        .where(_free(now), Capture.attempts >= MAX_ATTEMPTS)
        .order_by(Capture.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        _fail(session, row, NOT_FINISHED, now)
    return len(rows)


def _settle(claimed: Claimed, failure: str, *, retry: bool, now: datetime) -> None:
    """Record that an attempt failed: put it off, or close the capture and send the post on without text."""
    with transaction() as session:
        row = _held(session, claimed)
        if row is None:
            return
        if not retry or row.attempts >= MAX_ATTEMPTS:
            _fail(session, row, failure, now)
            return
        row.failure = failure
        row.lease = row.lease_until = None
        row.not_before = now + timedelta(seconds=_delay(row.attempts))
        _note(session, row, "capture.put_off", {"reason": failure, "attempts": row.attempts})


def _delay(attempts: int) -> float:
    """Seconds to the next attempt: about 30, then about 120. Scattered, so that a site is not hit in step."""
    return _FIRST_RETRY_SECONDS * 4.0 ** (attempts - 1) * secrets.SystemRandom().uniform(0.75, 1.25)


def _fail(session: Session, row: Capture, failure: str, now: datetime) -> None:
    row.status, row.failure = str(CaptureStatus.FAILED), failure
    row.lease = row.lease_until = row.not_before = None
    _note(session, row, "capture.failed", {"reason": failure, "attempts": row.attempts})
    dead_letters.add(session, Work.CAPTURE, row.id, reason=REASONS[failure], attempts=row.attempts, now=now)
    _send_on(session, row.post_id, PageText(""))


def _held(session: Session, claimed: Claimed) -> Capture | None:
    """The capture's row, locked, if the lease is still ours."""
    return session.scalar(
        select(Capture)
        .where(
            Capture.id == claimed.capture_id,
            Capture.lease == claimed.lease,
            Capture.status == CaptureStatus.WANTED.value,
        )
        .with_for_update()
    )


def _send_on(session: Session, post_id: uuid.UUID, page: PageText) -> None:
    """Let the post want scores, with its words or without.

    Without words the classifiers say "not assessed", and the case opens by the one way in which every case
    opens. What a partner had told about author and time stays.
    """
    lane = session.scalars(
        update(Post)
        .where(Post.id == post_id, Post.scoring == ScoringStatus.NO_TEXT.value)
        .values(
            text=page.text or None,
            text_sha256=hashlib.sha256(page.text.encode()).hexdigest() if page.text else None,
            author_handle=_kept(Post.author_handle, page.author_handle),
            posted_at=_kept(Post.posted_at, page.posted_at),
            scoring=str(ScoringStatus.WANTED),
        )
        .returning(Post.lane),
        execution_options={"synchronize_session": False},
    ).one()
    queue.ring_after_commit(session, Bell(lane))


def _kept(column: Any, found: Any) -> Any:
    return case((column.is_(None), found), else_=column)


def _note(session: Session, row: Capture, kind: str, data: dict[str, Any]) -> None:
    case_id = session.scalar(select(Case.id).where(Case.post_id == row.post_id))
    audit.record(
        session, _actor(), Entry(Operation.COLLECTION, kind, "capture", str(row.id), case_id=case_id, data=data)
    )


def _actor() -> Actor:
    return audit.system(TOOL_VERSION)
