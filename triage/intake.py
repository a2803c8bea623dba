"""Reports in: check, find or make the post and its case, add the report, and ring for a worker.

A report is accepted when its row is committed, before anybody gets a 202. One report is a batch of one.
"""

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage import accounts, audit, metrics, queue
from triage.audit import Actor, Entry
from triage.db import Capture, Case, IdempotencyKey, Partner, Post, Report
from triage.db.base import new_id
from triage.domain.errors import IdempotencyMismatch, InvalidInput
from triage.domain.lifecycle import CaseEvent
from triage.domain.words import AcquisitionMode, CaptureStatus, Lane, Operation, Purpose, ScoringStatus
from triage.queue import Bell
from triage.settings import current

_SURROGATE_OR_NUL = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
#: PostgreSQL stores times, near the years 1 and 9999, that Python cannot read back: the case would never open again.
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _storable(value: Any) -> Any:
    """PostgreSQL stores neither NUL nor half a surrogate pair. The report must not be lost for it."""
    return _SURROGATE_OR_NUL.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def _canonical_url(value: str) -> str:
    """One spelling for one address: no fragment, lower-case host, no default port or trailing slash."""
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError("not a URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https URL with a host")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    netloc = host if port in (None, default) else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), parts.query, ""))


Short = Annotated[str, BeforeValidator(_storable), Field(min_length=1, max_length=200)]
Long = Annotated[str, BeforeValidator(_storable), Field(min_length=1, max_length=2000)]


class NewReport(BaseModel):
    """One report as a partner or analyst sends it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    platform: Short = Field(description="Where the post is, for example `instagram`")
    text: Annotated[str, BeforeValidator(_storable)] | None = Field(
        None, description="The post, up to 20,000 characters"
    )
    url: Annotated[str, BeforeValidator(_storable), Field(max_length=2000)] | None = None
    platform_post_id: Short | None = None
    author_handle: Short | None = None
    posted_at: Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)] | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    purpose: Purpose
    acquisition_mode: AcquisitionMode
    reason: Long | None = Field(None, description="Why it was reported, in the reporter's words")
    external_id: Short | None = Field(None, description="The reporter's own number; sent twice, it is one report")
    force_code: Short | None = None
    operation_ref: Short | None = None
    urgent: bool = Field(False, description="The reporter believes that a life is in danger now")

    @model_validator(mode="after")
    def _has_content(self) -> "NewReport":
        if self.text is not None and not self.text.strip():
            self.text = None
        if self.text is None and self.url is None:
            raise ValueError("give `text` or `url`")
        limit = current().max_text_chars
        if self.text is not None and len(self.text) > limit:
            raise ValueError(f"`text` is longer than {limit:,} characters")
        if self.url is not None:
            try:
                self.url = _canonical_url(self.url)
            except ValueError as error:
                raise ValueError(f"`url` {error}") from error
        return self

    @property
    def identity(self) -> str:
        """What makes two reports be about one post: the platform's id, else the address, and the words.

        The words count because an edited post is new content; spacing does not.
        """
        words = _SPACES.sub(" ", self.text).strip() if self.text else ""
        where = f"{self.platform.lower()}\x00{self.platform_post_id}" if self.platform_post_id else self.url or ""
        return hashlib.sha256(f"{where}\x00{words}".encode()).hexdigest()


def parse(value: Any) -> NewReport:
    """Check one report.

    Raises:
        InvalidInput: naming the first wrong field and what is wrong. Never quotes the value.
    """
    try:
        return NewReport.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if not field and (named := re.match(r"(?:give )?`(\w+)`", message)):
            field = named.group(1)
        raise InvalidInput(message, field=field or None) from None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a reporter gets back. ``duplicate``: this very report was accepted before."""

    report_id: uuid.UUID
    case_id: uuid.UUID
    case_number: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: a partner by its key, or a signed-in analyst."""

    actor: Actor
    partner: Partner | None = None
    user_id: uuid.UUID | None = None


def accept_report(session: Session, reporter: Reporter, report: NewReport, *, now: datetime) -> Accepted:
    """Accept one report on the live lane, or the urgent one if the reporter says so."""
    return accept_reports(session, reporter, [report], lane=Lane.LIVE, now=now)[0]


def accept_reports(
    session: Session,
    reporter: Reporter,
    reports: Sequence[NewReport],
    *,
    lane: Lane,
    now: datetime,
    justification: dict[str, Any] | None = None,
) -> list[Accepted]:
    """Accept reports, in the order given. Commit to make it true; nothing is half-stored.

    Raises:
        QuotaExceeded: the partner's quota does not allow them.
    """
    answers, fresh = _known_already(session, reporter, reports)
    posts = _find_or_make_posts(session, [reports[i] for i in fresh], lane)
    cases = _find_or_make_cases(session, sorted(set(posts.values())), now)
    rows = []
    for i in fresh:
        report = reports[i]
        case_id, number = cases[posts[report.identity]]
        report_id = new_id()
        answers[i] = Accepted(report_id, case_id, number)
        rows.append(_report_row(report_id, case_id, reporter, report, justification, now))
    _follow_repeats(answers, reports)
    if rows:
        session.execute(insert(Report), rows)
        _count_reports(session, Counter(row["case_id"] for row in rows))
        audit.record_many(
            session, reporter.actor, [_event(row, reports[i]) for i, row in zip(fresh, rows, strict=True)]
        )
        if reporter.partner:
            accounts.use_quota(session, reporter.partner, reports=len(rows), now=now)
        _ring(session, [reports[i] for i in fresh], lane)
    return [answers[i] for i in range(len(reports))]


def _known_already(
    session: Session, reporter: Reporter, reports: Sequence[NewReport]
) -> tuple[dict[int, Accepted], list[int]]:
    """Reports that the reporter sent before (same ``external_id``), and the places of those that are new."""
    wanted = {report.external_id for report in reports if report.external_id}
    known: dict[str | None, Accepted] = {}
    if reporter.partner and wanted:
        query = (
            select(Report.external_id, Report.id, Report.case_id, Case.number)
            .join(Case, Case.id == Report.case_id)
            .where(Report.partner_id == reporter.partner.id, Report.external_id.in_(wanted))
        )
        known = {row[0]: Accepted(row[1], row[2], row[3], duplicate=True) for row in session.execute(query)}
    answers: dict[int, Accepted] = {}
    fresh: list[int] = []
    seen: set[str] = set()
    for i, report in enumerate(reports):
        if report.external_id in known:
            answers[i] = known[report.external_id]
        elif report.external_id is None or report.external_id not in seen:
            fresh.append(i)
            seen.add(report.external_id or "")
    return answers, fresh


def _follow_repeats(answers: dict[int, Accepted], reports: Sequence[NewReport]) -> None:
    """A line that repeats an ``external_id`` of the same batch gets the first one's answer."""
    first = {report.external_id: answers[i] for i, report in reversed(list(enumerate(reports))) if i in answers}
    for i, report in enumerate(reports):
        if i not in answers:
            earlier = first[report.external_id]
            answers[i] = Accepted(earlier.report_id, earlier.case_id, earlier.case_number, duplicate=True)


def _find_or_make_posts(session: Session, reports: Sequence[NewReport], lane: Lane) -> dict[str, uuid.UUID]:
    """Post ids by identity. Sorted, so that two batches with the same posts cannot deadlock."""
    by_identity = {report.identity: report for report in reversed(reports)}
    rows = [_post_row(identity, by_identity[identity], lane) for identity in sorted(by_identity)]
    if not rows:
        return {}
    made = session.execute(
        upsert(Post).on_conflict_do_nothing(index_elements=[Post.identity]).returning(Post.identity, Post.id), rows
    )
    found = dict(made.all())
    new_urls = [
        {"id": new_id(), "post_id": row["id"], "url": row["url"], "status": str(CaptureStatus.WANTED)}
        for row in rows
        if row["identity"] in found and row["text"] is None
    ]
    if new_urls:
        session.execute(insert(Capture), new_urls)
    if missing := set(by_identity) - set(found):
        query = select(Post.identity, Post.id).where(Post.identity.in_(missing))
        found |= dict(session.execute(query).all())
        _hurry(session, [found[identity] for identity in missing if by_identity[identity].urgent])
    return found


def _post_row(identity: str, report: NewReport, lane: Lane) -> dict[str, Any]:
    return {
        "id": new_id(),
        "identity": identity,
        "platform": report.platform.lower(),
        "platform_post_id": report.platform_post_id,
        "url": report.url,
        "text": report.text,
        "text_sha256": hashlib.sha256(report.text.encode()).hexdigest() if report.text else None,
        "author_handle": report.author_handle,
        "posted_at": report.posted_at,
        "language": report.language,
        "lane": str(Lane.URGENT if report.urgent else lane),
        "scoring": str(ScoringStatus.WANTED if report.text else ScoringStatus.NO_TEXT),
    }


def _hurry(session: Session, post_ids: list[uuid.UUID]) -> None:
    """An urgent report on a post that still waits, for its capture or its scores, in a slower lane moves it."""
    if post_ids:
        waits = Post.scoring.in_((ScoringStatus.NO_TEXT.value, ScoringStatus.WANTED.value))
        session.execute(update(Post).where(Post.id.in_(post_ids), waits).values(lane=Lane.URGENT.value))


def _find_or_make_cases(
    session: Session, post_ids: Sequence[uuid.UUID], now: datetime
) -> dict[uuid.UUID, tuple[uuid.UUID, int]]:
    """(case id, case number) by post id."""
    if not post_ids:
        return {}
    rows = [{"id": new_id(), "post_id": post_id, "received_at": now} for post_id in post_ids]
    session.execute(upsert(Case).on_conflict_do_nothing(index_elements=[Case.post_id]), rows)
    query = select(Case.post_id, Case.id, Case.number).where(Case.post_id.in_(post_ids))
    return {post_id: (case_id, number) for post_id, case_id, number in session.execute(query)}


def _report_row(
    report_id: uuid.UUID,
    case_id: uuid.UUID,
    reporter: Reporter,
    report: NewReport,
    justification: dict[str, Any] | None,
    now: datetime,
) -> dict[str, Any]:
    return {
        "id": report_id,
        "case_id": case_id,
        "partner_id": reporter.partner.id if reporter.partner else None,
        "submitted_by": reporter.user_id,
        "external_id": report.external_id,
        "purpose": str(report.purpose),
        "acquisition_mode": str(report.acquisition_mode),
        "reason": report.reason,
        "force_code": report.force_code,
        "operation_ref": report.operation_ref,
        "justification": justification,
        "received_at": now,
    }


def _count_reports(session: Session, counts: Counter[uuid.UUID]) -> None:
    """The fold of ``case.reported`` for many cases at once; rows are locked in one order."""
    session.execute(select(Case.id).where(Case.id.in_(counts)).order_by(Case.id).with_for_update())
    add = (
        update(Case)
        .where(Case.id == bindparam("case"))
        .values(report_count=Case.report_count + bindparam("more"), version=Case.version + 1)
    )
    session.connection().execute(add, [{"case": case_id, "more": more} for case_id, more in counts.items()])


def _event(row: dict[str, Any], report: NewReport) -> Entry:
    return Entry(
        Operation.COLLECTION,
        CaseEvent.REPORTED,
        "report",
        str(row["id"]),
        case_id=row["case_id"],
        purpose=row["purpose"],
        data={"acquisition_mode": row["acquisition_mode"], "urgent": report.urgent, "identity": report.identity},
    )


def _ring(session: Session, reports: Sequence[NewReport], lane: Lane) -> None:
    for report in reports:
        bell = Bell.CAPTURE if report.text is None else Bell.URGENT if report.urgent else Bell(str(lane))
        queue.ring_after_commit(session, bell)
        metrics.reports_accepted.labels(lane=str(bell)).inc()


def once(
    session: Session, partner: Partner, key: str, request_sha256: str, do: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do something once per Idempotency-Key; a repeat gets the first answer again.

    A second request with the same key that arrives meanwhile waits for the first one's commit.

    Raises:
        IdempotencyMismatch: the key came with another body before.
    """
    made = session.scalar(
        upsert(IdempotencyKey)
        .values(partner_id=partner.id, key=key, request_sha256=request_sha256)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    )
    row = session.get_one(IdempotencyKey, (partner.id, key))
    if made is None:
        if row.request_sha256 != request_sha256:
            raise IdempotencyMismatch("This Idempotency-Key was used with another body", field="Idempotency-Key")
        return row.answer or {}
    row.answer = do()
    return row.answer
