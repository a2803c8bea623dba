"""Cases, what the policy proposed, what people judged and decided."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.lifecycle import CaseStatus, Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target, Tier
from triage.domain.words import Stage


class Case(Base):
    """The unit of review: one post with all its reports.

    ``status``, ``tier``, ``assessed``, ``outcome`` and ``report_count`` are the fold of the case's events
    (``triage.domain.lifecycle``); ``queue``, ``band``, ``deadline_at`` and ``risk`` its place in the queue; the
    lease says who is reading it now.
    """

    __tablename__ = "cases"
    __table_args__ = (
        CheckConstraint(one_of("status", CaseStatus), "status"),
        CheckConstraint(f"tier IS NULL OR {one_of('tier', Tier)}", "tier"),
        CheckConstraint(f"outcome IS NULL OR {one_of('outcome', Outcome)}", "outcome"),
        CheckConstraint("status = 'waiting' OR (tier IS NOT NULL AND assessed IS NOT NULL)", "open_has_tier"),
        Index(
            "ix_cases_queue",
            "band",
            "deadline_at",
            text("risk DESC"),
            "id",
            postgresql_where=text("status = 'open'"),
        ),
        Index(
            "ix_cases_named_queue",
            "queue",
            "band",
            "deadline_at",
            text("risk DESC"),
            "id",
            postgresql_where=text("status = 'open'"),
        ),
        # What nobody has looked at yet, by tier: the clocks of the queue page and the alerts.
        Index("ix_cases_unseen", "tier", "deadline_at", postgresql_where=text("status = 'open' AND seen_at IS NULL")),
        # Those that the newest rules have not been applied to, to be found without reading the others.
        Index("ix_cases_queue_rules", "queue_rules", "id", postgresql_where=text("status = 'open'")),
        Index(None, "lease_user_id", postgresql_where=text("lease_user_id IS NOT NULL")),
        Index(None, "assigned_user_id", postgresql_where=text("assigned_user_id IS NOT NULL")),
        Index(None, "hold_user_id", postgresql_where=text("hold_user_id IS NOT NULL")),
        Index("ix_cases_status_tier", "status", "tier"),  # what /metrics counts
        # By day, for the figures.
        Index(None, "received_at"),
        UniqueConstraint("post_id"),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(start=1001), unique=True)
    post_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("posts.id"))
    status: Mapped[str] = mapped_column(server_default=CaseStatus.WAITING.value)
    tier: Mapped[str | None]
    assessed: Mapped[bool | None]
    outcome: Mapped[str | None]
    report_count: Mapped[int] = mapped_column(server_default=text("0"))

    flagged: Mapped[bool | None]
    codes: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    band: Mapped[int | None]
    deadline_at: Mapped[datetime | None]
    #: A reporter believes that a life is in danger now.
    urgent: Mapped[bool] = mapped_column(server_default=text("false"))
    risk: Mapped[float] = mapped_column(server_default=text("0"))
    received_at: Mapped[CreatedAt]

    #: The queue it is in (``triage.domain.routing``), and the version of the rules that put it there; empty: to be put
    #: there anew, because something it depends on has changed.
    queue: Mapped[str] = mapped_column(server_default="general")
    queue_rules: Mapped[str] = mapped_column(server_default="")
    #: When a person first took it since it was opened: what the clocks of the tiers run until.
    seen_at: Mapped[datetime | None]
    #: Kept for one person until then; afterwards it is anybody's again.
    assigned_user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    assigned_until: Mapped[datetime | None]
    #: Offered to nobody until then; put off by whom.
    hold_user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    hold_until: Mapped[datetime | None]

    lease_user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    lease_until: Mapped[datetime | None]
    #: Raised by every change; a page that was read earlier than the last change is refused.
    version: Mapped[int] = mapped_column(server_default=text("1"))


class AssessmentRow(Base):
    """What one policy version made of one set of scores. Only ever a proposal."""

    __tablename__ = "assessments"
    __table_args__ = (UniqueConstraint("scores_id", "policy_version"), Index(None, "case_id"))

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    scores_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("scores.id"))
    policy_version: Mapped[str]
    codes: Mapped[list[str]]
    tier: Mapped[str]
    flagged: Mapped[bool]
    reasons: Mapped[list[str]]
    created_at: Mapped[CreatedAt]


class Judgement(Base):
    """What one person said about a case, before (``first``) or after (``final``) seeing the machine's reasons."""

    __tablename__ = "judgements"
    __table_args__ = (
        CheckConstraint(one_of("stage", Stage), "stage"),
        CheckConstraint(one_of("speech_act", SpeechAct), "speech_act"),
        CheckConstraint(one_of("target", Target), "target"),
        CheckConstraint(one_of("imminence", Imminence), "imminence"),
        CheckConstraint("cardinality(codes) > 0", "has_codes"),
        Index(None, "case_id"),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    stage: Mapped[str]
    codes: Mapped[list[str]]
    speech_act: Mapped[str]
    target: Mapped[str]
    imminence: Mapped[str]
    contexts: Mapped[list[str]]
    created_at: Mapped[CreatedAt]


class Decision(Base):
    """The outcome a person chose, with reasons and the policy version it was made under."""

    __tablename__ = "decisions"
    __table_args__ = (
        CheckConstraint(one_of("outcome", Outcome), "outcome"),
        CheckConstraint("length(reasons) > 0 OR outcome = 'no_violation'", "has_reasons"),
        CheckConstraint("outcome <> 'refer' OR referral IS NOT NULL", "refer_has_grounds"),
        Index(None, "case_id"),
        Index(None, "user_id"),
        # By day, for the figures.
        Index(None, "created_at"),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    judgement_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("judgements.id"))
    outcome: Mapped[str]
    codes: Mapped[list[str]]
    reasons: Mapped[str]
    #: For ``refer``: the grounds of ``triage.domain.grounds`` as the reviewer stated them.
    referral: Mapped[dict[str, Any] | None]
    policy_version: Mapped[str]
    taxonomy_version: Mapped[str]
    created_at: Mapped[CreatedAt]
