"""Reports, the posts they are about, captures of URLs, and scores."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.words import AcquisitionMode, CaptureStatus, Lane, Purpose, ScoringStatus


class Post(Base):
    """The reported content. The row itself is the work item for the classifiers (no separate outbox)."""

    __tablename__ = "posts"
    __table_args__ = (
        CheckConstraint(one_of("lane", Lane), "lane"),
        CheckConstraint(one_of("scoring", ScoringStatus), "scoring"),
        Index("ix_posts_scoring_wanted", "lane", "id", postgresql_where=sql("scoring = 'wanted'")),
        # The few that a worker did not finish, to be found without reading the whole backlog.
        Index(
            "ix_posts_scoring_tried",
            "lane",
            "id",
            postgresql_where=sql("scoring = 'wanted' AND scoring_attempts > 0"),
        ),
        # Read by the classifiers, and not yet to be found as a copy of another.
        Index(
            "ix_posts_words_wanted",
            "id",
            postgresql_where=sql("NOT words_known AND scoring IN ('done', 'failed')"),
        ),
    )

    id: Mapped[Id]
    #: SHA-256 over what makes two reports be about one post; see ``intake.identity``.
    identity: Mapped[str] = mapped_column(unique=True)
    platform: Mapped[str]
    platform_post_id: Mapped[str | None]
    url: Mapped[str | None]
    text: Mapped[str | None]
    text_sha256: Mapped[str | None]
    author_handle: Mapped[str | None]
    posted_at: Mapped[datetime | None]
    language: Mapped[str | None]
    created_at: Mapped[CreatedAt]

    lane: Mapped[str]
    scoring: Mapped[str]
    scoring_lease_until: Mapped[datetime | None]
    scoring_lease: Mapped[uuid.UUID | None]
    scoring_attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    #: Whether ``PostWords`` holds what it is found by.
    words_known: Mapped[bool] = mapped_column(server_default=sql("false"))


class Report(Base):
    """One notice from one reporter about one post, with its purpose and how it was acquired."""

    __tablename__ = "reports"
    __table_args__ = (
        CheckConstraint(one_of("purpose", Purpose), "purpose"),
        CheckConstraint(one_of("acquisition_mode", AcquisitionMode), "acquisition_mode"),
        CheckConstraint("(partner_id IS NULL) <> (submitted_by IS NULL)", "one_reporter"),
        UniqueConstraint("partner_id", "external_id"),
        Index(None, "case_id"),
        Index(None, "submitted_by", postgresql_where=sql("submitted_by IS NOT NULL")),
    )

    id: Mapped[Id]
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"))
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partners.id"))
    submitted_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    external_id: Mapped[str | None]
    purpose: Mapped[str]
    acquisition_mode: Mapped[str]
    reason: Mapped[str | None]
    force_code: Mapped[str | None]
    operation_ref: Mapped[str | None]
    urgent: Mapped[bool] = mapped_column(server_default=sql("false"))
    #: Where its trace goes on (W3C ``traceparent``), while tracing is on: an id and nothing of the report.
    trace: Mapped[str | None]
    #: An analyst's necessity, proportionality and collateral intrusion notes, as written.
    justification: Mapped[dict[str, Any] | None]
    received_at: Mapped[CreatedAt]


class Capture(Base):
    """The stored evidence of a post fetched from its URL. The row is the work item for the capture worker."""

    __tablename__ = "captures"
    __table_args__ = (
        CheckConstraint(one_of("status", CaptureStatus), "status"),
        CheckConstraint("(status = 'done') = (sha256 IS NOT NULL)", "done_has_bytes"),
        Index("ix_captures_wanted", "id", postgresql_where=sql("status = 'wanted'")),
        UniqueConstraint("post_id"),
    )

    id: Mapped[Id]
    post_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("posts.id"))
    url: Mapped[str]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    not_before: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease: Mapped[uuid.UUID | None]
    failure: Mapped[str | None]

    final_url: Mapped[str | None]
    http_status: Mapped[int | None]
    content_type: Mapped[str | None]
    headers: Mapped[dict[str, Any] | None]
    sha256: Mapped[str | None]
    size_bytes: Mapped[int | None]
    captured_at: Mapped[datetime | None]
    method: Mapped[str | None]
    tool_version: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class PostScores(Base):
    """Scores of one post from one pipeline version; a post is scored once per version."""

    __tablename__ = "scores"
    __table_args__ = (
        UniqueConstraint("post_id", "pipeline_version"),
        Index(None, "not_assessed", postgresql_where=sql("not_assessed IS NOT NULL")),
    )

    id: Mapped[Id]
    post_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("posts.id"))
    pipeline_version: Mapped[str]
    labels: Mapped[dict[str, float]]
    contexts: Mapped[dict[str, float]]
    review: Mapped[float]
    urgent: Mapped[float]
    evidence: Mapped[list[dict[str, Any]]]
    not_assessed: Mapped[str | None]
    versions: Mapped[dict[str, Any]]
    scored_at: Mapped[CreatedAt]
