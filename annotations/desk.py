"""What the case page shows, read with a fixed number of queries however many reports, copies or readings there are.

Functions named ``read_*`` return post text or what is known of a post: call them after the reading was recorded. What
a machine said, and what other readers said, is in ``read_opinions`` alone, which is for somebody who has judged.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, String, cast, exists, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from annotations.reasons import Reason
from triage import queries
from triage.db import (
    Annotation,
    AssessmentRow,
    Capture,
    Case,
    Draft,
    Event,
    Gloss,
    Partner,
    Post,
    PostScores,
    Report,
    SourceRecord,
    User,
)
from triage.domain import reliability
from triage.domain.desk import Confidence, PassReason, Verdict
from triage.domain.lifecycle import CaseEvent
from triage.domain.words import PartnerKind, Stage
from triage.queries import MachineView, ReportLine

REPORTS_A_PAGE = 20
HANDLES_SHOWN = "case.handles_shown"


@dataclass(frozen=True, slots=True)
class DeskView:
    """The post of a case, and how this reader stands to it. Nothing that a machine said."""

    text: str | None
    platform: str
    url: str | None
    author_handle: str | None
    posted_at: datetime | None
    language: str | None
    captured_at: datetime | None
    capture_sha256: str | None
    #: The reader asked to see the handles in the text, and that was logged.
    handles_shown: bool
    #: Somebody passed it because they did not know the dialect.
    dialect_passed: bool
    draft_stage: Stage | None
    draft: Mapping[str, Sequence[str]]
    draft_saved_at: datetime | None
    #: Organisations a referral can go to, by name.
    recipients: tuple[tuple[uuid.UUID, str], ...]


def read_desk(session: Session, user: User, case: Case) -> DeskView:
    """The post, what this reader left unsent, and whom a referral can go to, in one query."""
    post, capture, draft, handles_shown, dialect, recipients = session.execute(
        select(Post, Capture, Draft, _asked_for_handles(case, user), _passed_for_dialect(case), _recipients())
        .outerjoin(Capture, Capture.post_id == Post.id)
        .outerjoin(Draft, (Draft.case_id == case.id) & (Draft.user_id == user.id))
        .where(Post.id == case.post_id)
    ).one()
    return DeskView(
        text=post.text,
        platform=post.platform,
        url=post.url,
        author_handle=post.author_handle,
        posted_at=post.posted_at,
        language=post.language,
        captured_at=capture.captured_at if capture else None,
        capture_sha256=capture.sha256 if capture else None,
        handles_shown=handles_shown,
        dialect_passed=dialect,
        draft_stage=Stage(draft.stage) if draft else None,
        draft=draft.fields if draft else {},
        draft_saved_at=draft.saved_at if draft else None,
        recipients=tuple((uuid.UUID(row["id"]), row["name"]) for row in recipients or ()),
    )


def _recipients() -> ScalarSelect[Any]:
    row = func.jsonb_build_object("id", Partner.id, "name", Partner.name)
    may_receive = Partner.active & (Partner.kind != PartnerKind.SCRUTINEER.value)
    return select(func.jsonb_agg(aggregate_order_by(row, Partner.name))).where(may_receive).scalar_subquery()


def _asked_for_handles(case: Case, user: User) -> ColumnElement[bool]:
    return exists().where(
        Event.case_id == case.id, Event.kind == HANDLES_SHOWN, Event.actor_id == cast(literal(user.id), String)
    )


def _passed_for_dialect(case: Case) -> ColumnElement[bool]:
    return exists().where(
        Event.case_id == case.id,
        Event.kind == CaseEvent.RELEASED.value,
        Event.data["reason"].astext == PassReason.DIALECT.value,
    )


@dataclass(frozen=True, slots=True)
class SourcedReport:
    """A report, and how far its kind of reports was borne out: words for a reader who has judged."""

    line: ReportLine
    reliability: str


def read_reports(session: Session, case: Case, *, page: int = 1) -> list[SourcedReport]:
    """One page of a case's reports, oldest first: what for and from what kind of source, not from whom."""
    rows = session.execute(
        select(Report, Partner.kind, SourceRecord.upheld, SourceRecord.not_upheld)
        .outerjoin(Partner, Partner.id == Report.partner_id)
        .outerjoin(SourceRecord, SourceRecord.partner_id == Report.partner_id)
        .where(Report.case_id == case.id)
        .order_by(Report.received_at, Report.id)
        .limit(REPORTS_A_PAGE)
        .offset((page - 1) * REPORTS_A_PAGE)
    )
    return [
        SourcedReport(
            ReportLine(
                purpose=report.purpose,
                acquisition_mode=report.acquisition_mode,
                source=kind or "analyst",
                reason=report.reason,
                urgent=report.urgent,
                justification=report.justification or {},
                received_at=report.received_at,
            ),
            # None of a person: an analyst's reports are not counted, so nothing is known of them.
            reliability.in_words(upheld or 0, not_upheld or 0) if kind else "",
        )
        for report, kind, upheld, not_upheld in rows
    ]


def report_pages(case: Case) -> int:
    """How many pages of reports there are; at least one."""
    return max(1, -(-case.report_count // REPORTS_A_PAGE))


@dataclass(frozen=True, slots=True)
class GlossLine:
    """A reading of a term, by its reader's pseudonym."""

    id: uuid.UUID
    term: str
    reading: str
    alternatives: tuple[str, ...]
    confidence: Confidence
    author: str
    mine: bool
    written_at: datetime
    disputes: uuid.UUID | None
    disputed: bool


@dataclass(frozen=True, slots=True)
class Opinions:
    """What the machine and other readers made of the post."""

    machine: MachineView | None
    scores_id: uuid.UUID | None
    verdicts: Mapping[Reason, Verdict]
    glosses: tuple[GlossLine, ...]


def read_opinions(session: Session, user: User, case: Case) -> Opinions:
    """For a reader who has judged: the newest assessment, the reader's verdicts on it, and all readings of terms."""
    newest = (
        select(AssessmentRow.id)
        .where(AssessmentRow.case_id == case.id)
        .order_by(AssessmentRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    assessment, scores, verdicts, glosses = session.execute(
        select(AssessmentRow, PostScores, _verdicts(user, case), _glosses(case))
        .select_from(Case)
        .outerjoin(AssessmentRow, AssessmentRow.id == newest)
        .outerjoin(PostScores, PostScores.id == AssessmentRow.scores_id)
        .where(Case.id == case.id)
    ).one()
    disputed = {row["disputes_id"] for row in glosses or ()}
    return Opinions(
        machine=queries.machine_of(assessment, scores) if assessment else None,
        scores_id=scores.id if scores else None,
        verdicts={
            Reason(row["start"], row["end"], row["code"], row["source"]): Verdict(row["verdict"])
            for row in verdicts or ()
            if scores and row["scores_id"] == str(scores.id)
        },
        glosses=tuple(_gloss_line(row, user, disputed) for row in glosses or ()),
    )


def _verdicts(user: User, case: Case) -> ScalarSelect[Any]:
    row = func.jsonb_build_object(
        *("scores_id", Annotation.scores_id, "verdict", Annotation.verdict, "code", Annotation.code),
        *("start", Annotation.span_start, "end", Annotation.span_end, "source", Annotation.source),
    )
    mine = (Annotation.case_id == case.id) & (Annotation.user_id == user.id)
    return select(func.jsonb_agg(row)).where(mine).scalar_subquery()


def _glosses(case: Case) -> ScalarSelect[Any]:
    row = func.jsonb_build_object(
        *("id", Gloss.id, "term", Gloss.term, "reading", Gloss.reading, "alternatives", Gloss.alternatives),
        *("confidence", Gloss.confidence, "author", User.pseudonym, "user_id", Gloss.user_id),
        *("written_at", Gloss.created_at, "disputes_id", Gloss.disputes_id),
    )
    return (
        select(func.jsonb_agg(aggregate_order_by(row, Gloss.id)))
        .select_from(Gloss)
        .join(User, User.id == Gloss.user_id)
        .where(Gloss.case_id == case.id)
        .scalar_subquery()
    )


def _gloss_line(row: Mapping[str, Any], user: User, disputed: set[str | None]) -> GlossLine:
    return GlossLine(
        id=uuid.UUID(row["id"]),
        term=row["term"],
        reading=row["reading"],
        alternatives=tuple(row["alternatives"]),
        confidence=Confidence(row["confidence"]),
        author=row["author"],
        mine=row["user_id"] == str(user.id),
        written_at=datetime.fromisoformat(row["written_at"]),
        disputes=uuid.UUID(row["disputes_id"]) if row["disputes_id"] else None,
        disputed=row["id"] in disputed,
    )
