"""What a reader adds at the desk beside a decision, and how posts of the same words are found."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.desk import Confidence, Verdict
from triage.domain.words import Stage


class Annotation(Base):
    """What one reader made of one thing the machine pointed at. A label for training, apart from any decision."""

    __tablename__ = "annotations"
    __table_args__ = (
        CheckConstraint(one_of("verdict", Verdict), "verdict"),
        CheckConstraint("span_end > span_start", "has_words"),
        UniqueConstraint("scores_id", "user_id", "span_start", "span_end", "code", "source"),
        Index(None, "case_id"),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    scores_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("scores.id"))
    #: Character offsets into the post's text as stored, end exclusive.
    span_start: Mapped[int]
    span_end: Mapped[int]
    code: Mapped[str]
    source: Mapped[str]
    verdict: Mapped[str]
    created_at: Mapped[CreatedAt]


class Gloss(Base):
    """What one reader takes a term in this post to mean. Never changed and never deleted: another reading is another
    row, which may say whose it disputes."""

    __tablename__ = "glosses"
    __table_args__ = (
        CheckConstraint(one_of("confidence", Confidence), "confidence"),
        CheckConstraint("length(term) > 0 AND length(reading) > 0", "has_words"),
        CheckConstraint("disputes_id <> id", "disputes_another"),
        Index(None, "case_id", "id"),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    term: Mapped[str]
    reading: Mapped[str]
    alternatives: Mapped[list[str]]
    confidence: Mapped[str]
    disputes_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("glosses.id"))
    created_at: Mapped[CreatedAt]


class Draft(Base):
    """What somebody has typed and not sent yet. It goes with the decision, and with passing the case."""

    __tablename__ = "drafts"
    __table_args__ = (CheckConstraint(one_of("stage", Stage), "stage"), Index(None, "case_id"))

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    #: Which form it belongs to: the view before the machine's reasons, or the decision.
    stage: Mapped[str]
    fields: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]


class PostWords(Base):
    """What copies of a post are found by (``triage.domain.copies``). Apart from the post, so that writing scores never
    touches these indexes. Made by the schedule, seconds after the post was scored."""

    __tablename__ = "post_words"
    __table_args__ = (
        Index("ix_post_words_copy_sha256", "copy_sha256", "post_id"),
        Index("ix_post_words_sketch", "sketch", postgresql_using="gin"),
    )

    post_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True)
    copy_sha256: Mapped[str]
    sketch: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


class SourceRecord(Base):
    """How often people upheld what one organisation reported. Counted anew by the schedule from the cases themselves,
    never kept of a private person."""

    __tablename__ = "source_records"
    __table_args__ = (CheckConstraint("upheld >= 0 AND not_upheld >= 0", "counts"),)

    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partners.id", ondelete="CASCADE"), primary_key=True)
    upheld: Mapped[int] = mapped_column(server_default=text("0"))
    not_upheld: Mapped[int] = mapped_column(server_default=text("0"))
    counted_at: Mapped[datetime]
