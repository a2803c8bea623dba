"""A confirmed case leaves the house: opened by the reviewer's decision, approved by somebody else, collected.

    open_referral ──▶ pending_approval ──approve──▶ approved ──partner downloads──▶ collected
                        │  ▲    │  └──reject──▶ rejected (back to the queue)            │
                        └─confirm─┘  └──refuse──▶ refused (for good)  recalled ◀──recall──┘

``confirm`` is the second reader's, where one is needed: nothing is approved before it. The document is built once, at
approval, and frozen: exactly those bytes leave, whatever changes later. Delivery is in ``triage.delivery``.
"""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from triage import accounts, audit, cases
from triage.audit import Actor
from triage.db import Case, Decision, Partner, Post, Referral, Report, User
from triage.delivery import DELIVERABLE, Export, Format, entry, export, for_partner, get_for_partner
from triage.domain import legal
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound
from triage.domain.gates import Grounds
from triage.domain.lifecycle import CaseEvent
from triage.domain.words import Operation, PartnerKind, ReferralStatus, Role
from triage.formats import document, json_format, sources, wording

__all__ = ["Export", "Format", "export", "for_partner", "get_for_partner"]


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
    _check_source(session, case, grounds)
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
    audit.record(session, actor, entry(Operation.ALTERATION, "referral.opened", referral))
    return referral


def preview(session: Session, approver: User, referral_id: uuid.UUID, *, now: datetime) -> dict[str, Any]:
    """The document as it would leave if ``approver`` approved it now. The reading is an event.

    Raises:
        NotFound, IllegalTransition, Forbidden, Conflict: as for ``approve``.
    """
    _, referral = _waiting(session, referral_id)
    _check_approver(session, approver, referral)
    audit.record(session, accounts.actor_of(approver), entry(Operation.CONSULTATION, "referral.read", referral))
    return document.build(sources.gather(session, referral, approver, now=now))


def approve(session: Session, approver: User, referral_id: uuid.UUID, *, now: datetime) -> Referral:
    """Freeze the document and let it leave.

    Raises:
        NotFound: there is no such referral.
        IllegalTransition: it is not waiting for approval.
        Forbidden: not an approver, or the one who reviewed or submitted the post.
        Conflict: no second reader has agreed, the recipient was closed, or the reviewer or the second reader has
            submitted the post since.
    """
    case, referral = _waiting(session, referral_id)
    _check_approver(session, approver, referral)
    _check_second_reader_agreed(referral)
    submitters = _submitters(session, referral)
    if referral.reviewer_id in submitters:
        raise Conflict("The reviewer has submitted this post since: reject this, and somebody else will review it")
    if referral.second_reader_id in submitters:
        raise Conflict("The second reader has submitted this post since: reject this, and others will read it")
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
    referral.approver_id = approver.id
    _turn_down(session, approver, case, referral, CaseEvent.REFERRAL_REJECTED, note)
    cases.put_in_place(case, now=now)
    session.flush()
    return referral


def refuse(session: Session, approver: User, referral_id: uuid.UUID, *, note: str) -> Referral:
    """Turn it down for good: nothing leaves, and the case is closed.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``approve``.
        InvalidInput: no note.
    """
    case, referral = _waiting(session, referral_id)
    _check_approver(session, approver, referral)
    referral.approver_id = approver.id
    _turn_down(session, approver, case, referral, CaseEvent.REFERRAL_REFUSED, note)
    session.flush()
    return referral


def for_second_reader(session: Session, reader: User, referral_id: uuid.UUID) -> tuple[Case, Referral]:
    """A referral that waits for a second reader, and its case, both locked, for somebody who may be that reader.

    Raises:
        NotFound: there is no such referral.
        IllegalTransition: it waits for nobody, or for no second reader.
        Forbidden: not a moderator, or the one who reviewed or submitted the post.
    """
    accounts.require(reader, Role.MODERATOR)
    case, referral = _waiting(session, referral_id)
    if not referral.needs_second_reader or referral.second_reader_id is not None:
        raise IllegalTransition(f"Referral {referral.number} waits for no second reader")
    if reader.id == referral.reviewer_id:
        raise Forbidden("You reviewed this case: somebody else has to be the second reader")
    if reader.id in _submitters(session, referral):
        raise Forbidden("You submitted this post: somebody else has to read it")
    return case, referral


def confirm(session: Session, reader: User, referral_id: uuid.UUID) -> Referral:
    """The second reader agrees: the referral goes on to the approver. Their reading is stored before.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``for_second_reader``.
    """
    _, referral = for_second_reader(session, reader, referral_id)
    referral.second_reader_id = reader.id
    session.flush()
    audit.record(session, accounts.actor_of(reader), entry(Operation.ALTERATION, "referral.confirmed", referral))
    return referral


def object_to(session: Session, reader: User, referral_id: uuid.UUID, *, note: str, now: datetime) -> Referral:
    """The second reader disagrees: the case goes back to the queue, with a note.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``for_second_reader``.
        InvalidInput: no note.
    """
    case, referral = for_second_reader(session, reader, referral_id)
    _turn_down(session, reader, case, referral, CaseEvent.REFERRAL_REJECTED, note)
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
    if referral.status not in DELIVERABLE:
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
    if approver.id == referral.second_reader_id:
        raise Forbidden("You were the second reader: somebody else has to approve the referral")
    if approver.id in _submitters(session, referral):
        raise Forbidden("You submitted this post: somebody else has to approve the referral")


def _submitters(session: Session, referral: Referral) -> set[uuid.UUID]:
    """Asked again and not only remembered: somebody may have submitted the post since the decision."""
    submitted = session.scalars(
        select(Report.submitted_by).where(Report.case_id == referral.case_id, Report.submitted_by.is_not(None))
    )
    return {user_id for user_id in submitted if user_id is not None} | set(referral.submitter_ids)


def _check_second_reader_agreed(referral: Referral) -> None:
    """DEC-06, CHI-02, said in words before the database would refuse."""
    if referral.needs_second_reader and referral.second_reader_id is None:
        raise Conflict("A second reader has to read this post, and agree, before it can be approved")


def _turn_down(session: Session, user: User, case: Case, referral: Referral, kind: CaseEvent, note: str) -> None:
    referral.note = _note(note)
    rejected = kind is CaseEvent.REFERRAL_REJECTED
    referral.status = (ReferralStatus.REJECTED if rejected else ReferralStatus.REFUSED).value
    cases.advance(session, accounts.actor_of(user), case, kind, object_type="referral", object_id=str(referral.id))


def _recipient(session: Session, grounds: Grounds) -> Partner:
    try:
        partner = session.get(Partner, uuid.UUID(grounds.recipient_id))
    except ValueError:
        partner = None
    if partner is None or not partner.active or partner.kind == PartnerKind.SCRUTINEER.value:
        raise InvalidInput("Choose an active partner that receives referrals", field="recipient_id")
    return partner


def _check_source(session: Session, case: Case, grounds: Grounds) -> None:
    """DEC-04: whoever reported the post is not the independent source, whatever box was ticked."""
    names = session.execute(
        select(Partner.name, User.display_name, User.username)
        .select_from(Report)
        .outerjoin(Partner, Partner.id == Report.partner_id)
        .outerjoin(User, User.id == Report.submitted_by)
        .where(Report.case_id == case.id)
        .distinct()
    )
    source = _words(grounds.secondary_source)
    for name in (name for row in names for name in row if name):
        if (said := _words(name)).strip() and said in source:
            raise InvalidInput(
                "You name the submitter as the source: a second signal has to be independent", field="secondary_source"
            )


def _words(text: str) -> str:
    """The words alone, each with a space before and after it, so that a name is found whole."""
    return " ".join(["", *re.findall(r"[^\W_]+", text.casefold()), ""])


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
            Referral.status.not_in((ReferralStatus.REJECTED.value, ReferralStatus.REFUSED.value)),
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
