"""Partners and their keys, people and their sessions."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.words import PartnerKind


class Partner(Base):
    """An organisation that reports, receives referrals, or both."""

    __tablename__ = "partners"
    __table_args__ = (CheckConstraint(one_of("kind", PartnerKind), "kind"),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    country: Mapped[str] = mapped_column(server_default="GB")
    #: Reports, and texts scored by `triage scorer`: counted apart, so that who scores in bulk can still report.
    quota_per_day: Mapped[int] = mapped_column(server_default=text("100000"))
    score_quota_per_day: Mapped[int] = mapped_column(server_default=text("100000"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[CreatedAt]


class ApiKey(Base):
    """A partner's key. Only its SHA-256 is kept: the key is 256 random bits, so no slow hash is needed."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("uq_api_keys_one_active", "partner_id", unique=True, postgresql_where=text("revoked_at IS NULL")),
    )

    id: Mapped[Id]
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partners.id"))
    prefix: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]
    revoked_at: Mapped[datetime | None]


class PartnerUsage(Base):
    """How many reports a partner sent on one day (UTC), and how many texts it had scored, for its quotas."""

    __tablename__ = "partner_usage"

    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partners.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    reports: Mapped[int] = mapped_column(server_default=text("0"))
    scores: Mapped[int] = mapped_column(server_default=text("0"))


class User(Base):
    """A person who signs in. ``pseudonym`` is all that ever leaves the house."""

    __tablename__ = "users"

    id: Mapped[Id]
    username: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    pseudonym: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    roles: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    failed_sign_ins: Mapped[int] = mapped_column(server_default=text("0"))
    locked_until: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class UserSession(Base):
    """A signed-in browser, found by the SHA-256 of its cookie."""

    __tablename__ = "user_sessions"

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    csrf_token: Mapped[str]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
