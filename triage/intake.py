"""Reports in: find or make the post and its case, add the report, and ring for a worker.

A report is accepted when its row is committed, before anybody gets a 202. One report is a batch of one.
Rows are locked in one order everywhere (posts by identity or id, then cases by id), and never more strongly
than ``FOR NO KEY UPDATE``: a report's foreign key must not wait for somebody who counts reports.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from triage import accounts, audit, backlog, cases, queue, tracing
from triage.audit import Actor, Entry
from triage.db import Capture, Case, Partner, Post, Report
from triage.db.base import new_id
from triage.db.bulk import insert_rows
from triage.domain.lifecycle import CaseEvent, CaseStatus
from triage.domain.words import CaptureStatus, Lane, Operation, ScoringStatus
from triage.new_report import NewReport
from triage.queue import Bell

#: Fastest first: a post is handled in the fastest lane that any of its reports came by.
_FASTEST_FIRST = (Lane.URGENT, Lane.LIVE, Lane.BULK)
_WAITS = (ScoringStatus.NO_TEXT.value, ScoringStatus.WANTED.value)


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
        BacklogFull: too much waits already, they come by the bulk lane, and not all of them are urgent.
        QuotaExceeded: the partner's quota does not allow them.
    """
    if lane is Lane.BULK and not all(report.urgent for report in reports):
        backlog.check_room(session, now=now)
    # Only an `external_id` can have been stored by another request meanwhile; without one the savepoint saves nothing.
    fallible = any(report.external_id for report in reports)
    try:
        with (
            tracing.span("accept", {"triage.posts": len(reports)}),
            session.begin_nested() if fallible else nullcontext(),
        ):
            return _accept(session, reporter, reports, lane, now, justification)
    except IntegrityError:
        if not fallible:
            raise
        # The same `external_id` arrived in another request and was committed meanwhile: now it is seen.
        return _accept(session, reporter, reports, lane, now, justification)


def _accept(
    session: Session,
    reporter: Reporter,
    reports: Sequence[NewReport],
    lane: Lane,
    now: datetime,
    justification: dict[str, Any] | None,
) -> list[Accepted]:
    answers, fresh = _known_already(session, reporter, reports)
    made, known = _find_or_make_posts(session, [reports[i] for i in fresh], lane)
    posts = made | known
    counts = Counter(posts[reports[i].identity] for i in fresh)
    cases_of = _make_cases(session, {post_id: counts[post_id] for post_id in made.values()}, now)
    cases_of |= _find_or_make_cases(session, sorted(set(known.values())), now)
    rows = []
    for i in fresh:
        case_id, number = cases_of[posts[reports[i].identity]]
        report_id = new_id()
        answers[i] = Accepted(report_id, case_id, number)
        rows.append(_report_row(report_id, case_id, reporter, reports[i], justification, now))
    _follow_repeats(answers, reports)
    if rows:
        insert_rows(session, upsert(Report), rows)
        _count_reports(session, {cases_of[post_id][0]: counts[post_id] for post_id in set(known.values())})
        audit.record_many(session, reporter.actor, [_event(row) for row in rows])
        _hurry_cases(session, reporter.actor, {row["case_id"] for row in rows if row["urgent"]}, now)
        if reporter.partner:
            accounts.use_quota(session, reporter.partner, reports=len(rows), now=now)
        for i in fresh:
            bell = Bell.CAPTURE if reports[i].text is None else Bell(str(_lane_of(reports[i], lane)))
            queue.ring_after_commit(session, bell)
    return [answers[i] for i in range(len(reports))]


def _lane_of(report: NewReport, lane: Lane) -> Lane:
    return Lane.URGENT if report.urgent else lane


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


def _find_or_make_posts(
    session: Session, reports: Sequence[NewReport], lane: Lane
) -> tuple[dict[str, uuid.UUID], dict[str, uuid.UUID]]:
    """Post ids by identity: those made, and those known. Sorted, so that two batches with the same cannot deadlock."""
    by_identity = {report.identity: report for report in reversed(reports)}
    lanes = dict.fromkeys(by_identity, lane) | {report.identity: Lane.URGENT for report in reports if report.urgent}
    rows = [_post_row(identity, by_identity[identity], lanes[identity]) for identity in sorted(by_identity)]
    if not rows:
        return {}, {}
    unless_known = upsert(Post).on_conflict_do_nothing(index_elements=[Post.identity])
    stored = insert_rows(session, unless_known.returning(Post.identity, Post.id), rows)
    made: dict[str, uuid.UUID] = dict(stored.all())
    known: dict[str, uuid.UUID] = {}
    new_urls = [
        {"id": new_id(), "post_id": row["id"], "url": row["url"], "status": str(CaptureStatus.WANTED)}
        for row in rows
        if row["identity"] in made and row["text"] is None
    ]
    if new_urls:
        session.execute(insert(Capture), new_urls)
    if missing := set(by_identity) - set(made):
        query = select(Post.identity, Post.id).where(Post.identity.in_(missing))
        known = dict(session.execute(query).all())
        for faster in (Lane.URGENT, Lane.LIVE):
            _hurry_posts(session, [known[identity] for identity in missing if lanes[identity] is faster], faster)
    return made, known


def _post_row(identity: str, report: NewReport, lane: Lane) -> dict[str, Any]:
    return {
        "id": new_id(),
        "identity": identity,
        "platform": report.platform.lower(),
        "platform_post_id": report.platform_post_id,
        "url": report.url,
        "text": report.text,
        "text_sha256": sha256(report.text.encode()).hexdigest() if report.text else None,
        "author_handle": report.author_handle,
        "posted_at": report.posted_at,
        "language": report.language,
        "lane": str(lane),
        "scoring": str(ScoringStatus.WANTED if report.text else ScoringStatus.NO_TEXT),
    }


def _hurry_posts(session: Session, post_ids: list[uuid.UUID], lane: Lane) -> None:
    """Move posts that still wait, for their capture or their scores, in a slower lane."""
    slower = [str(each) for each in _FASTEST_FIRST[_FASTEST_FIRST.index(lane) + 1 :]]
    waits = (Post.id.in_(post_ids), Post.scoring.in_(_WAITS), Post.lane.in_(slower))
    ids = session.scalars(select(Post.id).where(*waits).order_by(Post.id).with_for_update(key_share=True)).all()
    if ids:
        session.execute(update(Post).where(Post.id.in_(ids)).values(lane=str(lane)))


def _hurry_cases(session: Session, actor: Actor, case_ids: set[uuid.UUID], now: datetime) -> None:
    """A reporter believes that a life is in danger: an open case moves up, a decided one is opened again.

    Neither changes the tier, which stays what the policy proposed; a person looks, soon.
    """
    urgent = (
        select(Case)
        .where(Case.id.in_(case_ids))
        .order_by(Case.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    for case in session.scalars(urgent) if case_ids else ():
        case.urgent = True
        if case.status == CaseStatus.DECIDED.value:
            cases.advance(session, actor, case, CaseEvent.REOPENED, because="urgent_report")
        if case.status == CaseStatus.OPEN.value:
            cases.put_in_place(case, now=now)
    session.flush()


def _make_cases(
    session: Session, reports: Mapping[uuid.UUID, int], now: datetime
) -> dict[uuid.UUID, tuple[uuid.UUID, int]]:
    """Cases of posts that this transaction made, so that nobody else can know them; with so many reports each.

    Returns (case id, case number) by post id.
    """
    rows = [
        {"id": new_id(), "post_id": post_id, "received_at": now, "report_count": count, "version": 1 + count}
        for post_id, count in reports.items()
    ]
    if not rows:
        return {}
    stored = insert_rows(session, upsert(Case).returning(Case.post_id, Case.id, Case.number), rows)
    return {post_id: (case_id, number) for post_id, case_id, number in stored}


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
        "urgent": report.urgent,
        "trace": tracing.place(),
        "received_at": now,
    }


def _count_reports(session: Session, counts: Mapping[uuid.UUID, int]) -> None:
    """The fold of ``case.reported`` for many known cases at once; rows are locked in one order."""
    if not counts:
        return
    session.execute(select(Case.id).where(Case.id.in_(counts)).order_by(Case.id).with_for_update(key_share=True))
    add = (
        update(Case)
        .where(Case.id == bindparam("case"))
        # Another report may want another queue (triage.routing).
        .values(report_count=Case.report_count + bindparam("more"), version=Case.version + 1, queue_rules="")
    )
    session.connection().execute(add, [{"case": case_id, "more": more} for case_id, more in counts.items()])


def _event(row: dict[str, Any]) -> Entry:
    return Entry(
        Operation.COLLECTION,
        CaseEvent.REPORTED,
        "report",
        str(row["id"]),
        case_id=row["case_id"],
        purpose=row["purpose"],
        data={"acquisition_mode": row["acquisition_mode"], "urgent": row["urgent"]},
    )
