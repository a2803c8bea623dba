"""Decisions sent outwards."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.words import ReferralStatus


class Referral(Base):
    """A decision for one recipient. The database refuses that one person submits, reviews or approves twice."""

    __tablename__ = "referrals"
    __table_args__ = (
        CheckConstraint(one_of("status", ReferralStatus), "status"),
        CheckConstraint("reviewer_id <> approver_id", "reviewer_is_not_approver"),
        CheckConstraint("reviewer_id <> ALL (submitter_ids)", "reviewer_is_not_submitter"),
        CheckConstraint("approver_id <> ALL (submitter_ids)", "approver_is_not_submitter"),
        CheckConstraint("second_reader_id <> reviewer_id", "second_reader_is_not_reviewer"),
        CheckConstraint("second_reader_id <> approver_id", "second_reader_is_not_approver"),
        CheckConstraint("second_reader_id <> ALL (submitter_ids)", "second_reader_is_not_submitter"),
        CheckConstraint(
            "status NOT IN ('approved', 'collected', 'recalled') "
            "OR NOT needs_second_reader OR second_reader_id IS NOT NULL",
            "sent_only_after_second_reading",
        ),
        CheckConstraint(
            "status NOT IN ('approved', 'collected', 'recalled') "
            "OR (approver_id IS NOT NULL AND document IS NOT NULL AND document_sha256 IS NOT NULL)",
            "sent_only_when_approved",
        ),
        Index(None, "recipient_id", "status", "id"),
        Index(None, "case_id"),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(start=5001), unique=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    decision_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("decisions.id"), unique=True)
    recipient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partners.id"))
    status: Mapped[str]
    submitter_ids: Mapped[list[uuid.UUID]]
    reviewer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    approver_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    #: Worked out by a trigger from decision and judgement (migration 0007), so that no hand can leave it out.
    needs_second_reader: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Who read the post independently and agreed.
    second_reader_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    #: The export as approved: exactly these bytes (canonical JSON of it) leave, whatever changes later.
    document: Mapped[dict[str, Any] | None]
    document_sha256: Mapped[str | None]
    note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    approved_at: Mapped[datetime | None]
    collected_at: Mapped[datetime | None]
