"""The second person, what follows a decision outside, and independent scrutiny. Migration 0007 holds their rules."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.follow_up import Ending, FollowUpKind, StepKind
from triage.domain.gates import PossibleChild
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target


class SecondReading(Base):
    """What a second reader made of a post before seeing the decision, and then of the decision.

    The view is stored first (``agrees`` empty) and cannot be changed; the answer is given once.
    """

    __tablename__ = "second_readings"
    __table_args__ = (
        UniqueConstraint("referral_id", "user_id"),
        CheckConstraint(one_of("speech_act", SpeechAct), "speech_act"),
        CheckConstraint(one_of("target", Target), "target"),
        CheckConstraint(one_of("imminence", Imminence), "imminence"),
        CheckConstraint(one_of("possible_child", PossibleChild), "possible_child"),
        CheckConstraint("cardinality(codes) > 0", "has_codes"),
        CheckConstraint("(agrees IS NULL) = (answered_at IS NULL)", "answered_at"),
        CheckConstraint("agrees IS NULL OR length(trim(reasons)) > 0", "has_reasons"),
    )

    id: Mapped[Id]
    referral_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("referrals.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    codes: Mapped[list[str]]
    speech_act: Mapped[str]
    target: Mapped[str]
    imminence: Mapped[str]
    contexts: Mapped[list[str]]
    possible_child: Mapped[str]
    read_at: Mapped[CreatedAt]
    agrees: Mapped[bool | None]
    reasons: Mapped[str | None]
    answered_at: Mapped[datetime | None]


class FollowUp(Base):
    """What has to happen outside after a decision. Open until it was done, and recorded."""

    __tablename__ = "follow_ups"
    __table_args__ = (
        CheckConstraint(one_of("kind", FollowUpKind), "kind"),
        CheckConstraint(one_of("possible_child", PossibleChild), "possible_child"),
        CheckConstraint(f"ending IS NULL OR {one_of('ending', Ending)}", "ending"),
        CheckConstraint("(ending IS NULL) = (closed_at IS NULL) AND (ending IS NULL) = (closed_by IS NULL)", "closed"),
        CheckConstraint("ending IS NULL OR ending = 'done' OR length(trim(reasons)) > 0", "has_reasons"),
        CheckConstraint("kind <> 'life_threat' OR ending IS NULL OR ending = 'done'", "life_threat_is_done"),
        Index("ix_follow_ups_open", "kind", "band", "due_at", "id", postgresql_where=text("ending IS NULL")),
        Index(None, "case_id"),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    decision_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("decisions.id"), unique=True)
    possible_child: Mapped[str]
    #: Its place: 0 a life, 1 a child, 2 anybody else; then by ``due_at``.
    band: Mapped[int]
    due_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    ending: Mapped[str | None]
    reasons: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))


class FollowUpStep(Base):
    """One thing somebody did: what, when, with whom. Append-only."""

    __tablename__ = "follow_up_steps"
    __table_args__ = (
        CheckConstraint(one_of("kind", StepKind), "kind"),
        CheckConstraint("kind = 'note' OR length(trim(told)) > 0", "names_who_was_told"),
        Index(None, "follow_up_id"),
    )

    id: Mapped[Id]
    follow_up_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("follow_ups.id"))
    kind: Mapped[str]
    #: An office and a role, as a rule; the body for a referral (MASH, NRM ...).
    told: Mapped[str]
    reference: Mapped[str | None]
    note: Mapped[str | None]
    #: When it was done, as the person says; ``created_at`` is when it was recorded.
    done_at: Mapped[datetime]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]


class ScrutinySample(Base):
    """Decisions drawn by chance for an independent reader. Anybody with the seed and the frame draws the same ones."""

    __tablename__ = "scrutiny_samples"
    __table_args__ = (CheckConstraint("frame_from < frame_to", "frame"),)

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(start=1), unique=True)
    drawn_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    seed: Mapped[str]
    wanted: Mapped[int]
    #: Decisions made from (inclusive) to (exclusive), how many there were, and the SHA-256 of their ids in order.
    frame_from: Mapped[datetime]
    frame_to: Mapped[datetime]
    frame_size: Mapped[int]
    frame_sha256: Mapped[str]
    drawn_at: Mapped[CreatedAt]


class ScrutinyItem(Base):
    """One decision of a sample."""

    __tablename__ = "scrutiny_items"
    __table_args__ = (UniqueConstraint("sample_id", "position"), UniqueConstraint("sample_id", "decision_id"))

    id: Mapped[Id]
    sample_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("scrutiny_samples.id"))
    position: Mapped[int]
    decision_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("decisions.id"))


class ScrutinyReading(Base):
    """An annotation: what a scrutineer would have decided, said before seeing what was. Changes no case."""

    __tablename__ = "scrutiny_readings"
    __table_args__ = (
        UniqueConstraint("item_id", "user_id"),
        CheckConstraint(one_of("outcome", Outcome), "outcome"),
        CheckConstraint("cardinality(codes) > 0", "has_codes"),
    )

    id: Mapped[Id]
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("scrutiny_items.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    codes: Mapped[list[str]]
    contexts: Mapped[list[str]]
    outcome: Mapped[str]
    reasons: Mapped[str | None]
    created_at: Mapped[CreatedAt]
