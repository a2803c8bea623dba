"""The append-only log with its seals, idempotency keys and the beats of workers."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from triage.db.base import Base, CreatedAt, Id, one_of
from triage.domain.words import ActorKind, Operation, Work


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction number."""

    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "xid8"


class Event(Base):
    """Anything that happened, written in the transaction that did it. A trigger refuses UPDATE and DELETE.

    ``tx`` lets the sealer tell which events are final without making writers queue: see ``triage.audit``.
    """

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint(one_of("actor_kind", ActorKind), "actor_kind"),
        CheckConstraint(one_of("operation", Operation), "operation"),
        Index(None, "tx", "id"),
        Index(None, "case_id", "id", postgresql_where=text("case_id IS NOT NULL")),
        # Two kinds that are rare, and asked about at every claim: who gave which case back, which were opened again.
        Index("ix_events_released", "actor_id", "case_id", postgresql_where=text("kind = 'case.released'")),
        Index("ix_events_reopened", "case_id", "at", postgresql_where=text("kind = 'case.reopened'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tx: Mapped[int] = mapped_column(Xid8, server_default=text("pg_current_xact_id()"))
    at: Mapped[CreatedAt]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_roles: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    operation: Mapped[str]
    kind: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[str]
    case_id: Mapped[uuid.UUID | None]
    purpose: Mapped[str | None]
    recipient_id: Mapped[uuid.UUID | None]
    #: Ids, codes, counts and hashes; never post text.
    data: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


class EventSeal(Base):
    """A link of the hash chain: it covers all events after the previous seal up to (``upto_tx``, ``upto_id``)."""

    __tablename__ = "event_seals"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    upto_tx: Mapped[int] = mapped_column(Xid8)
    upto_id: Mapped[int] = mapped_column(BigInteger)
    event_count: Mapped[int]
    previous_sha256: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    sealed_at: Mapped[CreatedAt]


class IdempotencyKey(Base):
    """The answer already given to a partner's request, so that a repeat changes nothing."""

    __tablename__ = "idempotency_keys"

    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partners.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    answer: Mapped[dict[str, Any] | None]
    created_at: Mapped[CreatedAt]


class WorkerBeat(Base):
    """A sign of life from one worker process, for the supervisor and ``triage doctor``."""

    __tablename__ = "worker_beats"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: In containers many workers have one name and one pid, and only the host tells them apart.
    host: Mapped[str] = mapped_column(primary_key=True)
    pid: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[str]
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    #: The same by the database's clock: whether anybody is there at all is asked from other hosts too.
    seen_at: Mapped[CreatedAt]
    busy_since: Mapped[datetime | None]


class DeadLetter(Base):
    """Work that was given up, with a reason a person can act on. The case itself went to a person.

    One row for each piece of work, however often it is given up; ``retried_at`` is set while it is tried again, and
    stays so if that succeeds.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        CheckConstraint(one_of("object_type", Work), "object_type"),
        UniqueConstraint("object_type", "object_id"),
        Index("ix_dead_letters_open", "given_up_at", "id", postgresql_where=text("retried_at IS NULL")),
    )

    id: Mapped[Id]
    object_type: Mapped[str]
    object_id: Mapped[uuid.UUID]
    reason: Mapped[str]
    #: Attempts before it was last given up, and how often it was given up.
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    times: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[CreatedAt]
    given_up_at: Mapped[CreatedAt]
    retried_at: Mapped[datetime | None]
