"""A confirmed case leaves the house: opened by the reviewer's decision, approved by somebody else, collected.

    open_referral ──▶ pending_approval ──approve──▶ approved ──partner downloads──▶ collected
                            └──reject──▶ rejected       └──────recall──▶ recalled ◀──────┘

The document is built once, at approval, and frozen: exactly those bytes leave, whatever changes later.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from triage import accounts, audit, cases
from triage.audit import Actor, Entry
from triage.db import Case, Decision, Partner, Post, Referral, Report, User
from triage.domain import legal
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound
from triage.domain.gates import Grounds
from triage.domain.lifecycle import CaseEvent
from triage.domain.words import ActorKind, Operation, PartnerKind, ReferralStatus, Role
from triage.formats import csv_format, document, json_format, sources, wording

_DELIVERABLE = (ReferralStatus.APPROVED.value, ReferralStatus.COLLECTED.value)


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


def open_referral(
    session: Session, actor: Actor, case: Case, decision: Decision, *, submitter_ids: Sequence[uuid.UUID]
) -> Referral:
    """Put a ``refer`` decision before an approver. The caller holds the case's lock and has checked the gates.

    Raises:
        InvalidInput: the recipient, a legal basis or the wording does not do; names the field.
        Forbidden: the reviewer submitted the post.
        Conflict: the same recipient has had this post already and nothing new is said.
    """
    grounds = sources.grounds_of(decision)
    recipient = _recipient(session, grounds)
    legal.resolve(grounds.legal_basis, on=decision.created_at.date())
    wording.check(grounds)
    _check_evidence(session, case)
    if decision.user_id in submitter_ids:
        raise Forbidden("You submitted this post: somebody else has to review it")
    _refuse_repetition(session, case, decision, grounds, recipient)
    referral = Referral(
        case_id=case.id,
        decision_id=decision.id,
        recipient_id=recipient.id,
        status=ReferralStatus.PENDING_APPROVAL.value,
        submitter_ids=list(submitter_ids),
        reviewer_id=decision.user_id,
    )
    session.add(referral)
    session.flush()
    audit.record(session, actor, _entry(Operation.ALTERATION, "referral.opened", referral))
    return referral


def preview(session: Session, approver: User, referral_id: uuid.UUID, *, now: datetime) -> dict[str, Any]:
    """The document as it would leave if ``approver`` approved it now. The reading is an event.

    Raises:
        NotFound, IllegalTransition, Forbidden, Conflict: as for ``approve``.
    """
    _, referral = _waiting(session, referral_id)
    _check_approver(session, approver, referral)
    audit.record(session, accounts.actor_of(approver), _entry(Operation.CONSULTATION, "referral.read", referral))
    return document.build(sources.gather(session, referral, approver, now=now))


def approve(session: Session, approver: User, referral_id: uuid.UUID, *, now: datetime) -> Referral:
    """Freeze the document and let it leave.

    Raises:
        NotFound: there is no such referral.
        IllegalTransition: it is not waiting for approval.
        Forbidden: not an approver, or the one who reviewed or submitted the post.
        Conflict: the recipient was closed, or the reviewer has submitted the post since.
    """
    case, referral = _waiting(session, referral_id)
    _check_approver(session, approver, referral)
    submitters = _submitters(session, referral)
    if referral.reviewer_id in submitters:
        raise Conflict("The reviewer has submitted this post since: reject this, and somebody else will review it")
    referral.submitter_ids = sorted(submitters)
    if not session.scalar(select(Partner.active).where(Partner.id == referral.recipient_id)):
        raise Conflict("The recipient's account was closed: reject this and refer to somebody else")
    referral.document = document.build(sources.gather(session, referral, approver, now=now))
    referral.document_sha256 = json_format.sha256(referral.document)
    referral.approver_id, referral.approved_at = approver.id, now
    referral.status = ReferralStatus.APPROVED.value
    cases.advance(
        session,
        accounts.actor_of(approver),
        case,
        CaseEvent.REFERRAL_APPROVED,
        object_type="referral",
        object_id=str(referral.id),
        recipient_id=referral.recipient_id,
        document_sha256=referral.document_sha256,
        referral_type=referral.document["envelope"]["referral_type"],
    )
    session.flush()
    return referral


def reject(session: Session, approver: User, referral_id: uuid.UUID, *, note: str, now: datetime) -> Referral:
    """Send the case back to the queue, with a note for the next reviewer.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``approve``.
        InvalidInput: no note.
    """
    case, referral = _waiting(session, referral_id)
    _check_approver(session, approver, referral)
    referral.note = _note(note)
    referral.approver_id = approver.id
    referral.status = ReferralStatus.REJECTED.value
    cases.advance(
        session,
        accounts.actor_of(approver),
        case,
        CaseEvent.REFERRAL_REJECTED,
        object_type="referral",
        object_id=str(referral.id),
    )
    cases.put_in_place(case, now=now)
    session.flush()
    return referral


def recall(session: Session, approver: User, referral_id: uuid.UUID, *, note: str) -> Referral:
    """Withdraw a referral that was sent: it can no longer be downloaded, and the recipient sees it as recalled.

    Raises:
        NotFound: there is no such referral.
        Forbidden: not an approver.
        IllegalTransition: it has not been sent, or is recalled already.
        InvalidInput: no note.
    """
    accounts.require(approver, Role.APPROVER)
    case, referral = _locked(session, referral_id)
    if referral.status not in _DELIVERABLE:
        raise IllegalTransition(f"Referral {referral.number} is {referral.status}: only a sent one can be recalled")
    referral.note = _note(note)
    referral.status = ReferralStatus.RECALLED.value
    cases.advance(
        session,
        accounts.actor_of(approver),
        case,
        CaseEvent.REFERRAL_RECALLED,
        object_type="referral",
        object_id=str(referral.id),
        recipient_id=referral.recipient_id,
    )
    session.flush()
    return referral


def pending(session: Session) -> Sequence[Referral]:
    """Referrals waiting for an approver, the longest waiting first."""
    return session.scalars(
        select(Referral).where(Referral.status == ReferralStatus.PENDING_APPROVAL.value).order_by(Referral.id)
    ).all()


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
    if referral.status not in _DELIVERABLE or referral.document is None:
        raise Conflict(f"Referral {referral.number} is {referral.status} and cannot be downloaded")
    approved = json_format.canonical(referral.document)
    if hashlib.sha256(approved).hexdigest() != referral.document_sha256:
        raise Conflict(f"Referral {referral.number} is not as it was approved; it stays here. Tell the issuer")
    content = approved if kind is Format.JSON else csv_format.render(referral.document)
    sha256 = hashlib.sha256(content).hexdigest()
    audit.record(
        session, actor, _entry(Operation.DISCLOSURE, "referral.exported", referral, format=str(kind), sha256=sha256)
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


def _entry(operation: Operation, kind: str, referral: Referral, **data: Any) -> Entry:
    return Entry(
        operation,
        kind,
        "referral",
        str(referral.id),
        case_id=referral.case_id,
        recipient_id=referral.recipient_id,
        data=data,
    )


def _note(note: str) -> str:
    if not note.strip():
        raise InvalidInput("Write why: the next reader needs it", field="note")
    return note.strip()


def _locked(session: Session, referral_id: uuid.UUID) -> tuple[Case, Referral]:
    """The referral and its case, locked: the case first, as everywhere, so that nobody waits in a circle."""
    case_id = session.scalar(select(Referral.case_id).where(Referral.id == referral_id))
    if case_id is None:
        raise NotFound("There is no such referral")
    case = cases.locked(session, case_id)
    referral = session.scalars(
        select(Referral).where(Referral.id == referral_id).with_for_update().execution_options(populate_existing=True)
    ).one()
    return case, referral


def _waiting(session: Session, referral_id: uuid.UUID) -> tuple[Case, Referral]:
    case, referral = _locked(session, referral_id)
    if referral.status != ReferralStatus.PENDING_APPROVAL.value:
        raise IllegalTransition(f"Referral {referral.number} is {referral.status}: it no longer waits for approval")
    return case, referral


def _check_approver(session: Session, approver: User, referral: Referral) -> None:
    """Four eyes, said in words before the database would refuse."""
    accounts.require(approver, Role.APPROVER)
    if approver.id == referral.reviewer_id:
        raise Forbidden("You reviewed this case: somebody else has to approve the referral")
    if approver.id in _submitters(session, referral):
        raise Forbidden("You submitted this post: somebody else has to approve the referral")


def _submitters(session: Session, referral: Referral) -> set[uuid.UUID]:
    """Asked again and not only remembered: somebody may have submitted the post since the decision."""
    submitted = session.scalars(
        select(Report.submitted_by).where(Report.case_id == referral.case_id, Report.submitted_by.is_not(None))
    )
    return {user_id for user_id in submitted if user_id is not None} | set(referral.submitter_ids)


def _recipient(session: Session, grounds: Grounds) -> Partner:
    try:
        partner = session.get(Partner, uuid.UUID(grounds.recipient_id))
    except ValueError:
        partner = None
    if partner is None or not partner.active or partner.kind == PartnerKind.SCRUTINEER.value:
        raise InvalidInput("Choose an active partner that receives referrals", field="recipient_id")
    return partner


def _check_evidence(session: Session, case: Case) -> None:
    """REF-02: nothing leaves without the words or the stored page."""
    post = session.get_one(Post, case.post_id)
    if not post.text and sources.done_capture(session, post.id) is None:
        raise InvalidInput("There is neither text nor a stored page of this post: nothing to refer", field="outcome")


def _refuse_repetition(session: Session, case: Case, decision: Decision, grounds: Grounds, recipient: Partner) -> None:
    """REF-13. A new fact is a report since, or another code, clause, law, signal or source. New wording is none."""
    earlier = session.execute(
        select(Referral, Decision)
        .join(Decision, Decision.id == Referral.decision_id)
        .where(
            Referral.case_id == case.id,
            Referral.recipient_id == recipient.id,
            Referral.status != ReferralStatus.REJECTED.value,
        )
    )
    for referral, then in earlier:
        reported_since = session.scalar(
            select(func.count()).where(Report.case_id == case.id, Report.received_at > then.created_at)
        )
        if not reported_since and _facts(then, sources.grounds_of(then)) == _facts(decision, grounds):
            raise Conflict(
                f"{recipient.name} has had this post as referral {referral.number} and nothing new is said here",
                field="recipient_id",
            )


def _facts(decision: Decision, grounds: Grounds) -> tuple[object, ...]:
    def plain(text: str) -> str:
        return " ".join(text.split()).casefold()

    return (
        frozenset(decision.codes),
        plain(grounds.platform_policy_clause),
        frozenset(grounds.legal_basis),
        frozenset(grounds.primary_signals),
        frozenset(grounds.secondary_signals),
        plain(grounds.secondary_source),
    )
