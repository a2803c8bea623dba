"""The log that proves itself: who saw or did what, append-only, chained by hash.

Writers never queue for the chain. An event row carries the number of the transaction that wrote it; the
sealer, seconds behind, takes only events whose transaction is older than every transaction still running
(``tx < pg_snapshot_xmin``). Those are final: no earlier one can appear later. So events have one total
order, (``tx``, ``id``), and each seal hashes the previous seal and the events since.

A chain proves nothing against somebody who can rewrite the whole database, unless a seal is also kept
elsewhere: ``triage audit verify --expect SHA256`` checks against such a copy.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, text, tuple_
from sqlalchemy.orm import Session

from triage.db.events import Event, EventSeal
from triage.domain.words import ActorKind, Operation

GENESIS = "0" * 64
_SEAL_LOCK = 0x7365616C


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, a partner's key, or the system itself (with its version, for a worker)."""

    kind: ActorKind
    id: str
    roles: tuple[str, ...] = ()


def system(name: str) -> Actor:
    return Actor(ActorKind.SYSTEM, name)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. ``data`` holds ids, codes, counts and hashes; never post text."""

    operation: Operation
    kind: str
    object_type: str
    object_id: str
    case_id: uuid.UUID | None = None
    purpose: str | None = None
    recipient_id: uuid.UUID | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def record(session: Session, actor: Actor, *entries: Entry) -> None:
    """Write events in the caller's transaction: they commit together with what they describe, or not at all."""
    record_many(session, actor, entries)


def record_many(session: Session, actor: Actor, entries: Iterable[Entry]) -> None:
    """As ``record``, for a batch."""
    rows = [
        {
            "actor_kind": str(actor.kind),
            "actor_id": actor.id,
            "actor_roles": list(actor.roles),
            "operation": str(entry.operation),
            "kind": str(entry.kind),
            "object_type": entry.object_type,
            "object_id": entry.object_id,
            "case_id": entry.case_id,
            "purpose": entry.purpose,
            "recipient_id": entry.recipient_id,
            "data": dict(entry.data),
        }
        for entry in entries
    ]
    if rows:
        session.execute(insert(Event), rows)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole chain found. ``problem`` is ``None`` when it holds."""

    sealed_events: int
    unsealed_events: int
    seals: int
    head: str
    problem: str | None


_SEALED_COLUMNS = (
    Event.tx.label("tx"),
    Event.id,
    Event.at,
    Event.actor_kind,
    Event.actor_id,
    Event.actor_roles,
    Event.operation,
    Event.kind,
    Event.object_type,
    Event.object_id,
    Event.case_id,
    Event.purpose,
    Event.recipient_id,
    Event.data,
)


def _digest(previous: str, rows: Sequence[Row[Any]]) -> str:
    """SHA-256 over the previous link and the canonical JSON of each event."""
    digest = hashlib.sha256(previous.encode())
    for row in rows:
        values = [value.isoformat() if hasattr(value, "isoformat") else value for value in row]
        line = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=True)
        digest.update(b"\n" + line.encode())
    return digest.hexdigest()


_AFTER = tuple_(Event.tx, Event.id) > tuple_(text("CAST(CAST(:tx AS text) AS xid8)"), bindparam("id"))


def seal(session: Session, *, limit: int = 5000) -> int:
    """Add a link for the events that have become final; returns how many. One sealer at a time, others return 0."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_SEAL_LOCK))):
        return 0
    session.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    last = session.execute(
        select(EventSeal.upto_tx, EventSeal.upto_id, EventSeal.sha256).order_by(EventSeal.id.desc()).limit(1)
    ).first()
    tx, event_id, previous = (last.upto_tx, last.upto_id, last.sha256) if last else (0, 0, GENESIS)
    rows = session.execute(
        select(*_SEALED_COLUMNS)
        .where(_AFTER, Event.tx < text("pg_snapshot_xmin(pg_current_snapshot())"))
        .order_by(Event.tx, Event.id)
        .limit(limit),
        {"tx": str(tx), "id": event_id},
    ).all()
    if not rows:
        return 0
    session.add(
        EventSeal(
            upto_tx=rows[-1].tx,
            upto_id=rows[-1].id,
            event_count=len(rows),
            previous_sha256=previous,
            sha256=_digest(previous, rows),
        )
    )
    return len(rows)


def verify(session: Session, *, expect: str | None = None) -> Verification:
    """Recompute the whole chain.

    Args:
        expect: a seal's SHA-256 kept outside the database; the chain must contain it.
    """
    session.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    tx, event_id, previous = 0, 0, GENESIS
    sealed = seals = 0
    problem = None
    expected_seen = expect is None
    for link in session.scalars(select(EventSeal).order_by(EventSeal.id)):
        rows = session.execute(
            select(*_SEALED_COLUMNS)
            .where(
                _AFTER,
                tuple_(Event.tx, Event.id)
                <= tuple_(text("CAST(CAST(:upto_tx AS text) AS xid8)"), bindparam("upto_id")),
            )
            .order_by(Event.tx, Event.id),
            {"tx": str(tx), "id": event_id, "upto_tx": str(link.upto_tx), "upto_id": link.upto_id},
        ).all()
        if len(rows) != link.event_count:
            problem = f"seal {link.id}: {link.event_count} events were sealed, {len(rows)} are there"
        elif link.previous_sha256 != previous or link.sha256 != _digest(previous, rows):
            problem = f"seal {link.id}: the events up to {link.upto_id} are not those that were sealed"
        if problem:
            break
        tx, event_id, previous = link.upto_tx, link.upto_id, link.sha256
        sealed += len(rows)
        seals += 1
        expected_seen = expected_seen or link.sha256 == expect
    if problem is None and not expected_seen:
        problem = "the expected seal is not in the chain: the log was cut or rewritten"
    unsealed = session.scalar(select(func.count()).select_from(Event).where(_AFTER), {"tx": str(tx), "id": event_id})
    return Verification(sealed, unsealed or 0, seals, previous, problem)
