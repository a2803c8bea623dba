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
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Result, Row, bindparam, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from triage.db.bulk import insert_rows
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
        insert_rows(session, insert(Event), rows)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the chain found. ``problem`` is ``None`` when it holds.

    ``sealed_events`` and ``seals`` count what was recomputed and held, ``unsealed_events`` what comes after it.
    """

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


class _Link:
    """The SHA-256 of a seal: over the previous one and the canonical JSON of each event, added one by one."""

    def __init__(self, previous: str) -> None:
        self._digest = hashlib.sha256(previous.encode())
        self.events = 0

    def add(self, row: Row[Any]) -> None:
        values = [value.isoformat() if hasattr(value, "isoformat") else value for value in row]
        line = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=True)
        self._digest.update(b"\n" + line.encode())
        self.events += 1

    def sha256(self) -> str:
        return self._digest.hexdigest()


_AFTER = tuple_(Event.tx, Event.id) > tuple_(text("CAST(CAST(:tx AS text) AS xid8)"), bindparam("id"))


_FINAL = Event.tx < text("pg_snapshot_xmin(pg_current_snapshot())")
#: For what may not fit into memory. The caller closes the result.
STREAMED = {"yield_per": 1000}


def seal(session: Session, *, limit: int = 5000, at_least: int = 1, unless_older_than: timedelta | None = None) -> int:
    """Add a link for the events that have become final; returns how many. One sealer at a time, others return 0.

    Args:
        limit: most events under one seal.
        at_least: with fewer events than this nothing is sealed ...
        unless_older_than: ... unless the oldest of them has waited for longer.
    """
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_SEAL_LOCK))):
        return 0
    session.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    last = session.scalar(select(EventSeal).order_by(EventSeal.id.desc()).limit(1))
    where = (_AFTER, _FINAL)
    after = _place(last)
    waiting = select(Event.at).where(*where).order_by(Event.tx, Event.id).limit(max(at_least, 1)).subquery()
    count, age = session.execute(
        select(func.count(), func.clock_timestamp() - func.min(waiting.c.at)).select_from(waiting), after
    ).one()
    ripe = count >= at_least or (unless_older_than is not None and age is not None and age > unless_older_than)
    if not count or not ripe:
        return 0
    rows = session.execute(
        select(*_SEALED_COLUMNS).where(*where).order_by(Event.tx, Event.id).limit(limit), after
    ).all()
    previous = last.sha256 if last else GENESIS
    link = _Link(previous)
    for row in rows:
        link.add(row)
    session.add(
        EventSeal(
            upto_tx=rows[-1].tx,
            upto_id=rows[-1].id,
            event_count=len(rows),
            previous_sha256=previous,
            sha256=link.sha256(),
        )
    )
    return len(rows)


def _place(seal: EventSeal | None) -> dict[str, Any]:
    """Parameters of ``_AFTER``: the place in the order of events that a seal reaches to."""
    return {"tx": str(seal.upto_tx), "id": seal.upto_id} if seal else {"tx": "0", "id": 0}


def verify(session: Session, *, expect: str | None = None, newest: int | None = None) -> Verification:
    """Recompute the chain, reading events and seals once, side by side, whatever their number.

    Args:
        expect: a seal's SHA-256 kept outside the database; the chain must contain it.
        newest: recompute only this many seals at the end, and take the one before them on trust.
    """
    session.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    start = _seal_before(session, newest)
    later = select(EventSeal).where(EventSeal.id > (start.id if start else 0)).order_by(EventSeal.id)
    with (
        closing(_events_after(session, start)) as events,
        closing(session.scalars(later, execution_options=STREAMED)) as seals,
    ):
        walk = _Walk(events, reached=start, expect=expect)
        for seal in seals:
            walk.check(seal)
            if walk.problem:
                break
    if walk.problem is None and not walk.expected_seen:
        walk.problem = "the expected seal is not in the chain: the log was cut or rewritten"
    unsealed = session.scalar(select(func.count()).select_from(Event).where(_AFTER), _place(walk.reached))
    head = walk.reached.sha256 if walk.reached else GENESIS
    return Verification(walk.events, unsealed or 0, walk.seals, head, walk.problem)


def _seal_before(session: Session, newest: int | None) -> EventSeal | None:
    """The seal before the ``newest`` ones; ``None`` where there are not more, or all are wanted."""
    if newest is None:
        return None
    return session.scalar(select(EventSeal).order_by(EventSeal.id.desc()).offset(newest).limit(1))


def _events_after(session: Session, seal: EventSeal | None) -> Result[Any]:
    events = select(*_SEALED_COLUMNS).where(_AFTER).order_by(Event.tx, Event.id)
    return session.execute(events, _place(seal), execution_options=STREAMED)


class _Walk:
    """A walk along the events, from one seal to the next."""

    def __init__(self, events: Iterable[Row[Any]], *, reached: EventSeal | None, expect: str | None) -> None:
        self._events = iter(events)
        self._next = next(self._events, None)
        self._expect = expect
        self.expected_seen = expect is None or (reached is not None and reached.sha256 == expect)
        self.reached = reached
        self.events = self.seals = 0
        self.problem: str | None = None

    def check(self, seal: EventSeal) -> None:
        """Go up to ``seal``, which becomes the one reached; or set ``problem``."""
        previous = self.reached.sha256 if self.reached else GENESIS
        link = _Link(previous)
        upto = (int(seal.upto_tx), seal.upto_id)
        while self._next is not None and (int(self._next.tx), self._next.id) <= upto:
            link.add(self._next)
            self._next = next(self._events, None)
        if link.events != seal.event_count:
            self.problem = f"seal {seal.id}: {seal.event_count} events were sealed, {link.events} are there"
        elif seal.previous_sha256 != previous or seal.sha256 != link.sha256():
            self.problem = f"seal {seal.id}: the events up to {seal.upto_id} are not those that were sealed"
        else:
            self.reached = seal
            self.events += link.events
            self.seals += 1
            self.expected_seen = self.expected_seen or seal.sha256 == self._expect


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the chain that was recomputed: up to which seal (0: the end was reached), and what is wrong there."""

    upto: int
    events: int
    problem: str | None


def verify_stretch(session: Session, *, after: int, events: int) -> Stretch:
    """Recompute the chain from the seal with the id ``after`` on, until ``events`` events were read or more.

    Called again with what it returned it goes through the whole chain, part by part, and begins anew.
    """
    session.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    start = session.get(EventSeal, after) if after else None
    if after and start is None:
        return Stretch(after, 0, f"seal {after} is gone: the log was cut")
    later = select(EventSeal).where(EventSeal.id > after).order_by(EventSeal.id)
    with (
        closing(_events_after(session, start)) as found,
        closing(session.scalars(later, execution_options=STREAMED)) as seals,
    ):
        walk = _Walk(found, reached=start, expect=None)
        for seal in seals:
            walk.check(seal)
            if walk.problem or walk.events >= events:
                return Stretch(walk.reached.id if walk.reached else 0, walk.events, walk.problem)
    return Stretch(0, walk.events, None)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """How long the oldest event has waited for its seal, and the open transaction that holds sealing up."""

    oldest: timedelta
    oldest_transaction: timedelta | None


def unsealed(session: Session) -> Unsealed | None:
    """The oldest event without a seal; ``None`` where all are sealed.

    An event is sealed only when no older transaction is open, so one that is left open stops all sealing.
    """
    last = session.scalar(select(EventSeal).order_by(EventSeal.id.desc()).limit(1))
    first = select(Event.at).where(_AFTER).order_by(Event.tx, Event.id).limit(1).scalar_subquery()
    oldest = session.scalar(select(func.clock_timestamp() - first), _place(last))
    if oldest is None:
        return None
    transaction = session.scalar(
        text("SELECT max(clock_timestamp() - xact_start) FROM pg_stat_activity WHERE backend_xid IS NOT NULL")
    )
    return Unsealed(oldest, transaction)
