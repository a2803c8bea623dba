"""Everything that a referral document is made of, read from the database in one place."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from triage.db import Capture, Case, Decision, EventSeal, Judgement, Partner, Post, PostScores, Referral, Report, User
from triage.db.base import new_id
from triage.domain import legal
from triage.domain.gates import (
    Grounds,
    Likelihood,
    PastEvent,
    PossibleChild,
    PrimarySignal,
    RequestedAction,
    SecondarySignal,
    SourceKind,
)
from triage.domain.legal import LegalBasis
from triage.domain.lifecycle import Outcome
from triage.domain.words import AcquisitionMode, CaptureStatus, ReferralStatus
from triage.settings import current

#: What a recipient may know of: the rest is still, or for ever, inside the house.
OUTSIDE = (ReferralStatus.APPROVED.value, ReferralStatus.COLLECTED.value, ReferralStatus.RECALLED.value)


@dataclass(frozen=True, slots=True)
class Sources:
    """The rows and figures that a document is made of."""

    referral: Referral
    case: Case
    post: Post
    decision: Decision
    judgement: Judgement
    capture: Capture | None
    recipient: Partner
    reviewer: User
    approver: User
    second_reader: User | None
    legal_bases: Sequence[LegalBasis]
    purposes: Sequence[str]
    detected_by_platform: bool
    pipeline_version: str | None
    dissent: bool
    supersedes_id: uuid.UUID | None
    log_head: str | None
    authority_name: str
    authority_contact: str
    export_id: uuid.UUID
    now: datetime


def grounds_of(decision: Decision) -> Grounds:
    """The grounds as the reviewer stated them, from the decision's JSON."""
    stated = dict(decision.referral or {})
    stated["requested_action"] = RequestedAction(stated.get("requested_action", RequestedAction.REVIEW))
    stated["possible_child"] = PossibleChild(stated.get("possible_child", PossibleChild.UNKNOWN))
    stated["legal_basis"] = tuple(stated.get("legal_basis", ()))
    stated["primary_signals"] = tuple(PrimarySignal(found) for found in stated.get("primary_signals", ()))
    stated["secondary_signals"] = tuple(SecondarySignal(found) for found in stated.get("secondary_signals", ()))
    stated["secondary_sources"] = tuple(SourceKind(found) for found in stated.get("secondary_sources", ()))
    stated["likelihood"] = Likelihood(stated.get("likelihood", Likelihood.NOT_STATED))
    stated["past_event"] = PastEvent(stated.get("past_event", PastEvent.NONE))
    return Grounds(**stated)


def done_capture(session: Session, post_id: uuid.UUID) -> Capture | None:
    """The stored page of a post, if there is one."""
    return session.scalar(select(Capture).where(Capture.post_id == post_id, Capture.status == CaptureStatus.DONE.value))


def gather(session: Session, referral: Referral, approver: User, *, now: datetime) -> Sources:
    """What the document of this referral would say if ``approver`` approved it now."""
    case = session.get_one(Case, referral.case_id)
    decision = session.get_one(Decision, referral.decision_id)
    reports = session.execute(select(Report.purpose, Report.acquisition_mode).where(Report.case_id == case.id)).all()
    settings = current()
    return Sources(
        referral=referral,
        case=case,
        post=session.get_one(Post, case.post_id),
        decision=decision,
        judgement=session.get_one(Judgement, decision.judgement_id),
        capture=done_capture(session, case.post_id),
        recipient=session.get_one(Partner, referral.recipient_id),
        reviewer=session.get_one(User, referral.reviewer_id),
        approver=approver,
        second_reader=session.get_one(User, referral.second_reader_id) if referral.second_reader_id else None,
        legal_bases=legal.resolve(grounds_of(decision).legal_basis, on=now.date()),
        purposes=sorted({report.purpose for report in reports}),
        detected_by_platform=any(
            report.acquisition_mode == AcquisitionMode.PLATFORM_DETECTION.value for report in reports
        ),
        pipeline_version=session.scalar(
            select(PostScores.pipeline_version)
            .where(PostScores.post_id == case.post_id)
            .order_by(PostScores.id.desc())
            .limit(1)
        ),
        dissent=_dissent(session, decision),
        supersedes_id=_superseded(session, referral),
        log_head=session.scalar(select(EventSeal.sha256).order_by(EventSeal.id.desc()).limit(1)),
        authority_name=settings.authority_name,
        authority_contact=settings.authority_contact,
        export_id=new_id(),
        now=now,
    )


def _dissent(session: Session, decision: Decision) -> bool:
    """Whether somebody decided this case otherwise. Asking for a second opinion is no dissent."""
    agreed = (Outcome.REFER.value, Outcome.SECOND_OPINION.value)
    return bool(
        session.scalar(
            select(func.count()).where(Decision.case_id == decision.case_id, Decision.outcome.not_in(agreed))
        )
    )


def _superseded(session: Session, referral: Referral) -> uuid.UUID | None:
    """The last referral of the same case that this recipient was sent."""
    return session.scalar(
        select(Referral.id)
        .where(
            Referral.case_id == referral.case_id,
            Referral.recipient_id == referral.recipient_id,
            Referral.id != referral.id,
            Referral.status.in_(OUTSIDE),
        )
        .order_by(Referral.id.desc())
        .limit(1)
    )
