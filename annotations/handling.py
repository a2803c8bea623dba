"""What a person does with a case besides deciding it: hold it, give it to somebody, ask somebody senior.

Each is an event, and a row with what was written, in one transaction. None of them ends a tier's clock: that one stops
when somebody first looks. A threat to life is never put off and is kept from nobody.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from annotations import review
from triage import accounts, cases
from triage.db import Case, CaseNote, User
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound
from triage.domain.handling import KEPT_FOR, HoldReason, NoteKind, check_hold
from triage.domain.lifecycle import CaseEvent, CaseStatus
from triage.domain.taxonomy import Tier
from triage.domain.words import Role

LONGEST_NOTE = 1000


def hold(
    session: Session, user: User, case_id: uuid.UUID, *, reason: HoldReason, note: str, until: datetime, now: datetime
) -> None:
    """Put the case that the user reads on hold: it is offered to nobody until then, and then to everybody.

    Raises:
        LeaseLost: somebody else holds it, or nobody.
        InvalidInput: it is a threat to life, the time is too far off, or "other" says nothing more.
    """
    case = review.held_case(session, user, case_id, now)
    check_hold(Tier(case.tier or Tier.P2), until=until, now=now)
    if reason is HoldReason.OTHER and not note.strip():
        raise InvalidInput("Say what it waits for", field="note")
    _add(session, case, user, NoteKind.HOLD, note, reason=str(reason), until=until)
    cases.release_lease(case)
    case.hold_user_id, case.hold_until = user.id, until
    _tell(session, user, case, CaseEvent.HELD, reason=str(reason), until=until.isoformat())


def resume(session: Session, user: User, case_id: uuid.UUID, *, now: datetime) -> None:
    """End a hold before its time: whoever put it on hold, or an approver.

    Raises:
        Forbidden: somebody else put it on hold.
        IllegalTransition: it is not on hold.
    """
    accounts.require(user, Role.MODERATOR, Role.APPROVER)
    case = cases.locked(session, case_id)
    if case.hold_until is None or case.hold_until < now:
        raise IllegalTransition("This case is not on hold")
    if case.hold_user_id != user.id and Role.APPROVER.value not in user.roles:
        raise Forbidden("Somebody else put this case on hold: they or an approver can end it")
    case.hold_user_id = case.hold_until = None
    _tell(session, user, case, CaseEvent.RESUMED)


def assign(session: Session, user: User, case_id: uuid.UUID, *, to: uuid.UUID, note: str, now: datetime) -> None:
    """Keep a case for one moderator, for ``KEPT_FOR``: one that the user reads, or, as an approver, one nobody reads.

    Raises:
        LeaseLost: a moderator does not hold it.
        Conflict: somebody is reading it.
        InvalidInput: that person does not review, or may not review this case; or the note is too long.
    """
    case = _mine_or_free(session, user, case_id, now)
    receiver = session.get(User, to)
    if receiver is None or not receiver.active or Role.MODERATOR.value not in receiver.roles:
        raise InvalidInput("Choose somebody who reviews", field="to")
    if not review.may_review(session, receiver, case_id):
        raise InvalidInput("That person submitted or decided it: choose somebody else", field="to")
    _add(session, case, user, NoteKind.ASSIGN, note, to_user_id=to, until=now + KEPT_FOR)
    _keep_for(case, to, now)
    _tell(session, user, case, CaseEvent.ASSIGNED, to=str(to))


def escalate(session: Session, user: User, case_id: uuid.UUID, *, note: str, now: datetime) -> CaseNote:
    """Bring a case before an approver, with a question. It comes back to the user with the answer.

    Until then it is kept for the user, at most ``KEPT_FOR``: without an answer it goes on in the queue.

    Raises:
        LeaseLost: the user does not hold it.
        InvalidInput: the note is missing or too long.
    """
    case = review.held_case(session, user, case_id, now)
    if not note.strip():
        raise InvalidInput("Write what you ask", field="note")
    asked = _add(session, case, user, NoteKind.ESCALATE, note)
    _keep_for(case, user.id, now)
    _tell(session, user, case, CaseEvent.ESCALATED)
    return asked


def answer(session: Session, user: User, note_id: uuid.UUID, *, text: str, now: datetime) -> CaseNote:
    """Answer what was asked. The case is kept for the person who asked, from now on for ``KEPT_FOR``.

    Raises:
        NotFound: nothing was asked under this id.
        Conflict: it has been answered, or the case was decided meanwhile.
        Forbidden: the user asked it.
        InvalidInput: the answer is missing or too long.
    """
    accounts.require(user, Role.APPROVER)
    asked = session.scalar(select(CaseNote).where(CaseNote.id == note_id, CaseNote.kind == NoteKind.ESCALATE.value))
    if asked is None:
        raise NotFound("Nothing was asked here")
    case = cases.locked(session, asked.case_id)
    session.refresh(asked)
    if asked.answered_at is not None:
        raise Conflict("This has been answered")
    if asked.user_id == user.id:
        raise Forbidden("You asked this: somebody else has to answer")
    _check_note(text)
    if not text.strip():
        raise InvalidInput("Write the answer", field="answer")
    asked.answered_at, asked.answered_by, asked.answer = now, user.id, text.strip()
    if case.status == CaseStatus.OPEN.value and not _is_read(case, now):
        _keep_for(case, asked.user_id, now)
    session.flush()
    if case.status == CaseStatus.OPEN.value:
        _tell(session, user, case, CaseEvent.ANSWERED, note=str(asked.id))
    return asked


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that waits for an approver."""

    id: uuid.UUID
    case_id: uuid.UUID
    number: int
    tier: str
    deadline_at: datetime | None
    note: str
    asked_by: str
    created_at: datetime
    own: bool


def waiting_questions(session: Session, user: User) -> list[Asked]:
    """What waits for an approver, the most urgent case first. The notes are colleagues' words, not the post's."""
    accounts.require(user, Role.APPROVER)
    rows = session.execute(
        select(CaseNote, Case, User.pseudonym)
        .join(Case, Case.id == CaseNote.case_id)
        .join(User, User.id == CaseNote.user_id)
        .where(CaseNote.kind == NoteKind.ESCALATE.value, CaseNote.answered_at.is_(None))
        .where(Case.status == CaseStatus.OPEN.value)
        .order_by(Case.band, Case.deadline_at, CaseNote.created_at)
        .limit(100)
    )
    return [
        Asked(
            id=note.id,
            case_id=case.id,
            number=case.number,
            tier=case.tier or "",
            deadline_at=case.deadline_at,
            note=note.note,
            asked_by=pseudonym,
            created_at=note.created_at,
            own=note.user_id == user.id,
        )
        for note, case, pseudonym in rows
    ]


@dataclass(frozen=True, slots=True)
class Handled:
    """One line of what was done with a case. ``note`` and ``answer`` only for those who may read them."""

    kind: str
    by: str
    to: str | None
    reason: str | None
    until: datetime | None
    at: datetime
    note: str
    answer: str | None
    answered_by: str | None


def history(session: Session, user: User, case_id: uuid.UUID) -> list[Handled]:
    """What was done with a case, oldest first.

    A note may say what its author makes of the post: others read it once they have judged for themselves.
    """
    accounts.require(user, Role.MODERATOR, Role.APPROVER)
    judged = review.first_judgement(session, user, case_id) is not None
    open_to_all = judged or Role.MODERATOR.value not in user.roles
    author, receiver, answerer = aliased(User), aliased(User), aliased(User)
    rows = session.execute(
        select(CaseNote, author.pseudonym, receiver.pseudonym, answerer.pseudonym)
        .join(author, author.id == CaseNote.user_id)
        .outerjoin(receiver, receiver.id == CaseNote.to_user_id)
        .outerjoin(answerer, answerer.id == CaseNote.answered_by)
        .where(CaseNote.case_id == case_id)
        .order_by(CaseNote.id)
        .limit(100)
    )
    lines = []
    for note, by, to, answered_by in rows:
        readable = open_to_all or user.id == note.user_id
        lines.append(
            Handled(
                kind=note.kind,
                by=by,
                to=to,
                reason=note.reason,
                until=note.until,
                at=note.created_at,
                note=note.note if readable else "",
                answer=note.answer if readable else None,
                answered_by=answered_by,
            )
        )
    return lines


def reviewers(session: Session, user: User) -> Sequence[tuple[uuid.UUID, str]]:
    """Who else reviews, by pseudonym."""
    query = (
        select(User.id, User.pseudonym)
        .where(User.active, User.id != user.id, User.roles.contains([Role.MODERATOR.value]))
        .order_by(User.pseudonym)
    )
    return [(user_id, pseudonym) for user_id, pseudonym in session.execute(query)]


def _mine_or_free(session: Session, user: User, case_id: uuid.UUID, now: datetime) -> Case:
    if Role.APPROVER.value not in user.roles:
        return review.held_case(session, user, case_id, now)
    case = cases.locked(session, case_id)
    if case.status != CaseStatus.OPEN.value:
        raise IllegalTransition(f"Case {case.number} is no longer open")
    if _is_read(case, now) and case.lease_user_id != user.id:
        raise Conflict("Somebody is reading this case")
    return case


def _is_read(case: Case, now: datetime) -> bool:
    return case.lease_user_id is not None and case.lease_until is not None and case.lease_until >= now


def _keep_for(case: Case, user_id: uuid.UUID, now: datetime) -> None:
    cases.release_lease(case)
    case.hold_user_id = case.hold_until = None
    case.assigned_user_id, case.assigned_until = user_id, now + KEPT_FOR


def _check_note(note: str) -> None:
    if len(note.strip()) > LONGEST_NOTE:
        raise InvalidInput(f"Use {LONGEST_NOTE} characters at most", field="note")


def _add(session: Session, case: Case, user: User, kind: NoteKind, note: str, **columns: object) -> CaseNote:
    _check_note(note)
    row = CaseNote(case_id=case.id, user_id=user.id, kind=str(kind), note=note.strip(), **columns)
    session.add(row)
    session.flush()
    return row


def _tell(session: Session, user: User, case: Case, kind: CaseEvent, **data: Any) -> None:
    cases.advance(session, accounts.actor_of(user), case, kind, **data)
