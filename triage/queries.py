"""Read models: what pages and lists show, each fetched with a fixed number of queries.

Nothing here writes, so nothing here may return post text to somebody whose reading was not recorded first:
the functions that do are named ``read_*`` and say so.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from triage.db import (
    AssessmentRow,
    Capture,
    Case,
    Decision,
    Judgement,
    Partner,
    Post,
    PostScores,
    Referral,
    Report,
    User,
)
from triage.domain.lifecycle import CaseStatus
from triage.domain.scores import EvidenceSpan
from triage.domain.taxonomy import Tier
from triage.domain.words import PartnerKind, ReferralStatus, Stage


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One report as a reviewer may see it: what for and from what kind of source, not from whom."""

    purpose: str
    acquisition_mode: str
    source: str
    reason: str | None
    urgent: bool
    justification: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class PostView:
    """The post and its reports, without anything a machine said."""

    text: str | None
    platform: str
    url: str | None
    author_handle: str | None
    posted_at: datetime | None
    language: str | None
    captured_at: datetime | None
    capture_sha256: str | None
    reports: tuple[ReportLine, ...]


def read_post(session: Session, case: Case) -> PostView:
    """The post of a case, with text: call it after the reading was recorded."""
    post, capture = session.execute(
        select(Post, Capture).outerjoin(Capture, Capture.post_id == Post.id).where(Post.id == case.post_id)
    ).one()
    reports = session.execute(
        select(Report, Partner.kind)
        .outerjoin(Partner, Partner.id == Report.partner_id)
        .where(Report.case_id == case.id)
        .order_by(Report.received_at, Report.id)
        .limit(50)
    )
    return PostView(
        text=post.text,
        platform=post.platform,
        url=post.url,
        author_handle=post.author_handle,
        posted_at=post.posted_at,
        language=post.language,
        captured_at=capture.captured_at if capture else None,
        capture_sha256=capture.sha256 if capture else None,
        reports=tuple(
            ReportLine(
                purpose=report.purpose,
                acquisition_mode=report.acquisition_mode,
                source=kind or "analyst",
                reason=report.reason,
                urgent=report.urgent,
                justification=report.justification or {},
                received_at=report.received_at,
            )
            for report, kind in reports
        ),
    )


@dataclass(frozen=True, slots=True)
class MachineView:
    """What the machine made of a post. Read only for somebody who has judged it already."""

    assessed: bool
    not_assessed: str | None
    tier: Tier
    codes: tuple[str, ...]
    reasons: tuple[str, ...]
    labels: Mapping[str, float]
    contexts: Mapping[str, float]
    evidence: tuple[EvidenceSpan, ...]
    policy_version: str
    pipeline_version: str


def machine_of(assessment: AssessmentRow, scores: PostScores) -> MachineView:
    """One assessment with its scores, as a page shows it."""
    return MachineView(
        assessed=scores.not_assessed is None,
        not_assessed=scores.not_assessed,
        tier=Tier(assessment.tier),
        codes=tuple(assessment.codes),
        reasons=tuple(assessment.reasons),
        labels=scores.labels,
        contexts=scores.contexts,
        evidence=tuple(EvidenceSpan(**span) for span in scores.evidence),
        policy_version=assessment.policy_version,
        pipeline_version=scores.pipeline_version,
    )


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """What somebody else decided about this case before: a second opinion asked for, a referral sent back."""

    outcome: str
    codes: tuple[str, ...]
    reasons: str
    reviewer: str
    created_at: datetime
    approver_note: str | None


def earlier_decisions(session: Session, case_id: uuid.UUID) -> list[EarlierDecision]:
    rows = session.execute(
        select(Decision, User.pseudonym, Referral.note)
        .join(User, User.id == Decision.user_id)
        .outerjoin(Referral, Referral.decision_id == Decision.id)
        .where(Decision.case_id == case_id)
        .order_by(Decision.id)
    )
    return [
        EarlierDecision(d.outcome, tuple(d.codes), d.reasons, reviewer, d.created_at, note)
        for d, reviewer, note in rows
    ]


@dataclass(frozen=True, slots=True)
class ReferralRow:
    """One line of a list of referrals."""

    id: uuid.UUID
    number: int
    case_number: int
    recipient: str
    status: str
    codes: tuple[str, ...]
    reviewer: str
    approver: str | None
    created_at: datetime
    approved_at: datetime | None
    may_approve: bool
    waits_for_second_reader: bool


def referrals(
    session: Session, user: User, statuses: Sequence[ReferralStatus], *, limit: int = 100
) -> list[ReferralRow]:
    """Referrals in these states, oldest first."""
    reviewer, approver = aliased(User), aliased(User)
    rows = session.execute(
        select(Referral, Case.number, Partner.name, Decision.codes, reviewer.pseudonym, approver.pseudonym)
        .join(Case, Case.id == Referral.case_id)
        .join(Partner, Partner.id == Referral.recipient_id)
        .join(Decision, Decision.id == Referral.decision_id)
        .join(reviewer, reviewer.id == Referral.reviewer_id)
        .outerjoin(approver, approver.id == Referral.approver_id)
        .where(Referral.status.in_([str(status) for status in statuses]))
        .order_by(Referral.id)
        .limit(limit)
    )
    return [
        ReferralRow(
            id=row.id,
            number=row.number,
            case_number=case_number,
            recipient=recipient,
            status=row.status,
            codes=tuple(codes),
            reviewer=reviewed_by,
            approver=approved_by,
            created_at=row.created_at,
            approved_at=row.approved_at,
            may_approve=user.id not in (row.reviewer_id, row.second_reader_id, *row.submitter_ids),
            waits_for_second_reader=row.needs_second_reader and row.second_reader_id is None,
        )
        for row, case_number, recipient, codes, reviewed_by, approved_by in rows
    ]


@dataclass(frozen=True, slots=True)
class ReferralDetail:
    """A referral, its decision and judgement, for the person who approves."""

    referral: Referral
    case: Case
    decision: Decision
    judgement: Judgement
    grounds: Mapping[str, Any]
    recipient: str
    recipient_kind: str
    reviewer: str
    first_codes: tuple[str, ...]


def referral_detail(session: Session, referral_id: uuid.UUID) -> ReferralDetail | None:
    first = aliased(Judgement)
    row = session.execute(
        select(Referral, Case, Decision, Judgement, Partner.name, Partner.kind, User.pseudonym, first.codes)
        .join(Case, Case.id == Referral.case_id)
        .join(Decision, Decision.id == Referral.decision_id)
        .join(Judgement, Judgement.id == Decision.judgement_id)
        .join(Partner, Partner.id == Referral.recipient_id)
        .join(User, User.id == Referral.reviewer_id)
        .outerjoin(
            first,
            and_(first.case_id == Case.id, first.user_id == Referral.reviewer_id, first.stage == Stage.FIRST.value),
        )
        .where(Referral.id == referral_id)
        .order_by(first.created_at.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    referral, case, decision, judgement, recipient, kind, reviewer, first_codes = row
    return ReferralDetail(
        referral,
        case,
        decision,
        judgement,
        decision.referral or {},
        recipient,
        kind,
        reviewer,
        tuple(first_codes or ()),
    )


def recipients(session: Session) -> list[tuple[uuid.UUID, str]]:
    """Organisations a referral can go to."""
    query = (
        select(Partner.id, Partner.name)
        .where(Partner.active, Partner.kind != PartnerKind.SCRUTINEER.value)
        .order_by(Partner.name)
    )
    return [(partner_id, name) for partner_id, name in session.execute(query)]


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures on the home page."""

    open: int
    late: int
    not_assessed: int
    pending_approval: int


def counts(session: Session, *, now: datetime) -> Counts:
    """How much waits, in one query."""
    waiting = Case.status == CaseStatus.OPEN.value
    row = session.execute(
        select(
            func.count().filter(waiting),
            func.count().filter(and_(waiting, Case.deadline_at < now)),
            func.count().filter(and_(waiting, Case.assessed.is_(False))),
            func.count().filter(Case.status == CaseStatus.AWAITING_APPROVAL.value),
        )
        .select_from(Case)
        .where(or_(waiting, Case.status == CaseStatus.AWAITING_APPROVAL.value))
    ).one()
    return Counts(*row)
