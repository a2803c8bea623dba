"""What belongs to the queue: the words a case is found by, saved views, notes, alerts and incidents."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.handling import HoldReason, NoteKind


class CaseWords(Base):
    """The words a case is found by: apart from the post, so that writing scores never touches this index."""

    __tablename__ = "case_words"
    __table_args__ = (
        Index("ix_case_words_about", "about", postgresql_using="gin"),
        Index("ix_case_words_post", "post", postgresql_using="gin"),
    )

    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True)
    #: Platform, host and what reporters said.
    about: Mapped[Any] = mapped_column(TSVECTOR)
    #: The post's own words. To search them is a consultation, and is logged as one.
    post: Mapped[Any] = mapped_column(TSVECTOR)


class SavedView(Base):
    """Filters of the queue that one person gave a name. Nobody else sees them."""

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[Id]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    filters: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class CaseNote(Base):
    """A case put on hold, given to somebody or brought before somebody senior, with what was written then."""

    __tablename__ = "case_notes"
    __table_args__ = (
        CheckConstraint(one_of("kind", NoteKind), "kind"),
        CheckConstraint(f"reason IS NULL OR {one_of('reason', HoldReason)}", "reason"),
        CheckConstraint("kind <> 'hold' OR (reason IS NOT NULL AND until IS NOT NULL)", "hold_has_an_end"),
        CheckConstraint("kind <> 'assign' OR to_user_id IS NOT NULL", "assigned_to_somebody"),
        CheckConstraint("kind <> 'escalate' OR length(note) > 0", "escalated_with_a_note"),
        CheckConstraint("(answered_at IS NULL) = (answered_by IS NULL)", "answered_by_somebody"),
        CheckConstraint("answered_by IS NULL OR answered_by <> user_id", "answered_by_another"),
        Index(None, "case_id", "id"),
        Index(
            "ix_case_notes_asked",
            "created_at",
            "id",
            postgresql_where=text("kind = 'escalate' AND answered_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    kind: Mapped[str]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    to_user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default="")
    until: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    answer: Mapped[str | None]


class Alert(Base):
    """A call to the person on call, written with what it calls for and delivered afterwards (outbox).

    ``step`` 0 goes to the first on call; each further step to the next, because nobody had looked.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        UniqueConstraint("case_id", "step"),
        Index(
            "ix_alerts_due",
            "not_before",
            postgresql_where=text("delivered_at IS NULL AND stopped_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    step: Mapped[int]
    created_at: Mapped[CreatedAt]
    not_before: Mapped[CreatedAt]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    #: Of the addresses of this step, those that have it already, as the first 16 digits of their SHA-256.
    sent: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    delivered_at: Mapped[datetime | None]
    #: Somebody looked meanwhile, or the case is no P0 any more: no longer needed.
    stopped_at: Mapped[datetime | None]
    failure: Mapped[str | None]


class Incident(Base):
    """What everybody should know while something is going on. It ends by itself."""

    __tablename__ = "incidents"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at AND ends_at <= starts_at + interval '72 hours'", "ends"),
        CheckConstraint("length(note) > 0", "has_note"),
        CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", "closed_by_somebody"),
        Index(None, "ends_at"),
    )

    id: Mapped[Id]
    title: Mapped[str]
    note: Mapped[str]
    #: Which cases it concerns: of one queue, one platform, or all that were received while it lasts.
    queue: Mapped[str | None]
    platform: Mapped[str | None]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    opened_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
