"""What a recipient gets: the list of its referrals, one of them, and the file, with the disclosure logged."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from triage import audit
from triage.audit import Actor, Entry
from triage.db import Partner, Referral
from triage.domain.errors import Conflict, InvalidInput, NotFound
from triage.domain.words import ActorKind, Operation, ReferralStatus
from triage.formats import csv_format, json_format, sources

DELIVERABLE = (ReferralStatus.APPROVED.value, ReferralStatus.COLLECTED.value)


class Format(StrEnum):
    """How a referral can be downloaded."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Export:
    """A file that leaves. ``sha256`` (hexadecimal) is that of ``content``."""

    content: bytes
    media_type: str
    filename: str
    sha256: str


def for_partner(
    session: Session,
    partner: Partner,
    *,
    after: uuid.UUID | None = None,
    limit: int = 100,
    status: ReferralStatus | None = None,
) -> Sequence[Referral]:
    """What was sent to a partner, oldest approval first.

    Args:
        after: the last referral of the page before.

    Raises:
        InvalidInput: ``after`` is no referral of this partner.
    """
    query = select(Referral).where(Referral.recipient_id == partner.id, Referral.status.in_(sources.OUTSIDE))
    if status is not None:
        query = query.where(Referral.status == status.value)
    if after is not None:
        last = session.execute(
            select(Referral.approved_at, Referral.id).where(
                Referral.id == after, Referral.recipient_id == partner.id, Referral.status.in_(sources.OUTSIDE)
            )
        ).first()
        if last is None:
            raise InvalidInput("Not a cursor of yours: start again without it", field="after")
        query = query.where(tuple_(Referral.approved_at, Referral.id) > tuple_(*last))
    return session.scalars(query.order_by(Referral.approved_at, Referral.id).limit(limit)).all()


def get_for_partner(session: Session, partner: Partner, referral_id: uuid.UUID) -> Referral:
    """One referral sent to this partner.

    Raises:
        NotFound: there is none, it has not been sent, or it is another partner's. The answer does not tell which.
    """
    referral = session.scalar(
        select(Referral).where(
            Referral.id == referral_id, Referral.recipient_id == partner.id, Referral.status.in_(sources.OUTSIDE)
        )
    )
    if referral is None:
        raise NotFound("There is no such referral")
    return referral


def export(session: Session, actor: Actor, referral: Referral, format: Format | str) -> Export:
    """The file, with its disclosure written to the log in the same transaction.

    The recipient's first download marks the referral as collected.

    Raises:
        InvalidInput: unknown format.
        NotFound: the actor is a partner and not the recipient.
        Conflict: it is not approved, was recalled, or what is stored is not what was approved.
    """
    kind = _format(format)
    if actor.kind is ActorKind.PARTNER and actor.id != str(referral.recipient_id):
        raise NotFound("There is no such referral")
    session.refresh(referral, with_for_update=True)
    if referral.status not in DELIVERABLE or referral.document is None:
        raise Conflict(f"Referral {referral.number} is {referral.status} and cannot be downloaded")
    approved = json_format.canonical(referral.document)
    if hashlib.sha256(approved).hexdigest() != referral.document_sha256:
        raise Conflict(f"Referral {referral.number} is not as it was approved; it stays here. Tell the issuer")
    content = approved if kind is Format.JSON else csv_format.render(referral.document)
    sha256 = hashlib.sha256(content).hexdigest()
    audit.record(
        session, actor, entry(Operation.DISCLOSURE, "referral.exported", referral, format=str(kind), sha256=sha256)
    )
    if actor.kind is ActorKind.PARTNER and referral.status == ReferralStatus.APPROVED.value:
        _collected(session, referral)
    media_type = json_format.MEDIA_TYPE if kind is Format.JSON else csv_format.MEDIA_TYPE
    return Export(content, media_type, f"referral-{referral.number}.{kind}", sha256)


def _format(name: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise InvalidInput(f"Choose {' or '.join(Format)}", field="format") from None


def _collected(session: Session, referral: Referral) -> None:
    session.execute(
        update(Referral)
        .where(Referral.id == referral.id)
        .values(status=ReferralStatus.COLLECTED.value, collected_at=func.clock_timestamp())
    )
    session.refresh(referral)


def entry(operation: Operation, kind: str, referral: Referral, **data: Any) -> Entry:
    """An event about a referral."""
    return Entry(
        operation,
        kind,
        "referral",
        str(referral.id),
        case_id=referral.case_id,
        recipient_id=referral.recipient_id,
        data=data,
    )
