"""Idempotency-Key: a request repeated with its key is done once and answered alike."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from triage.db import IdempotencyKey, Partner
from triage.domain.errors import IdempotencyMismatch

#: How long an answer is kept; after that the key is unknown again.
KEPT_FOR = timedelta(days=7)


def once(
    session: Session, partner: Partner, key: str | None, request_sha256: str, do: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do something once per key; a repeat gets the first answer. Without a key, just do it.

    ``request_sha256`` is a fingerprint of address and body.

    A second request with the same key that arrives meanwhile waits for the first one's commit. A refusal
    does not use up the key.

    Raises:
        IdempotencyMismatch: the key came with another body, or to another address, before.
    """
    if not key:
        return do()
    made = session.scalar(
        insert(IdempotencyKey)
        .values(partner_id=partner.id, key=key, request_sha256=request_sha256)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    )
    row = session.get_one(IdempotencyKey, (partner.id, key))
    if made is None:
        if row.request_sha256 != request_sha256:
            raise IdempotencyMismatch("This Idempotency-Key was used for another request", field="Idempotency-Key")
        return row.answer or {}
    row.answer = do()
    return row.answer


def forget_old(session: Session, *, now: datetime) -> int:
    """Forget answers that were kept long enough; returns how many."""
    old = delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT_FOR).returning(IdempotencyKey.key)
    return len(session.scalars(old).all())
