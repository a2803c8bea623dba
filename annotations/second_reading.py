"""The second reader: reads a post before knowing what was decided, says what they see, then agrees or not.

Asked for where the code book asks for it (``triage.domain.gates.second_person``): art, news, counter-speech and grief,
a possible child, a veiled threat. Neither the reviewer, nor a submitter, nor the approver; the database refuses it too.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, any_, exists, literal, or_, select
from sqlalchemy.orm import Session

from annotations.review import View, check_view
from triage import accounts, audit, referral
from triage.audit import Entry
from triage.db import Case, Decision, Judgement, Referral, Report, SecondReading, User
from triage.domain.errors import Conflict, InvalidInput
from triage.domain.gates import NeedsSecondPerson, PossibleChild, second_person
from triage.domain.words import Operation, ReferralStatus, Role
from triage.formats import sources, wording


@dataclass(frozen=True, slots=True)
class Waiting:
    """A referral that waits for a second reader: nothing of what was decided, so that the reading is blind."""

    referral_id: uuid.UUID
    number: int
    case_number: int
    tier: str | None
    since: datetime


def waiting(session: Session, user: User, *, limit: int = 100) -> list[Waiting]:
    """What the user may read as second reader: the most urgent first, then the longest waiting."""
    accounts.require(user, Role.MODERATOR)
    rows = session.execute(
        select(Referral.id, Referral.number, Case.number, Case.tier, Referral.created_at)
        .join(Case, Case.id == Referral.case_id)
        .where(
            Referral.status == ReferralStatus.PENDING_APPROVAL.value,
            Referral.needs_second_reader,
            Referral.second_reader_id.is_(None),
            Referral.reviewer_id != user.id,
            ~_submitted(user),
        )
        .order_by(Case.tier, Referral.id)
        .limit(limit)
    )
    return [Waiting(id_, number, case_number, tier, since) for id_, number, case_number, tier, since in rows]


def read(session: Session, user: User, referral_id: uuid.UUID) -> tuple[Case, Referral]:
    """The case for a second reader to read; the reading is an event in the same transaction.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``referral.for_second_reader``.
    """
    case, row = referral.for_second_reader(session, user, referral_id)
    _record(session, user, row, Operation.CONSULTATION, "second_reading.read")
    return case, row


def reading_of(session: Session, user: User, referral_id: uuid.UUID) -> SecondReading | None:
    """What the user has said of it so far."""
    return session.scalar(
        select(SecondReading).where(SecondReading.referral_id == referral_id, SecondReading.user_id == user.id)
    )


def judge(
    session: Session, user: User, referral_id: uuid.UUID, view: View, possible_child: PossibleChild
) -> SecondReading:
    """Store the reader's own view, after which the decision may be shown. Given once: a repeat gets the first.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``referral.for_second_reader``.
        InvalidInput: no code, an unknown one, or "no violation" beside another.
    """
    _, row = referral.for_second_reader(session, user, referral_id)
    if (given := reading_of(session, user, referral_id)) is not None:
        return given
    check_view(view)
    reading = SecondReading(
        referral_id=row.id,
        user_id=user.id,
        codes=list(view.codes),
        speech_act=str(view.speech_act),
        target=str(view.target),
        imminence=str(view.imminence),
        contexts=list(view.contexts),
        possible_child=str(possible_child),
    )
    session.add(reading)
    session.flush()
    _record(session, user, row, Operation.ALTERATION, "second_reading.judged", codes=list(view.codes))
    return reading


def answer(
    session: Session, user: User, referral_id: uuid.UUID, *, agrees: bool, reasons: str, now: datetime
) -> SecondReading:
    """Agree, and it goes on to the approver; or not, and the case goes back to the queue.

    Raises:
        NotFound, IllegalTransition, Forbidden: as for ``referral.for_second_reader``.
        Conflict: the reader has not said what they see first.
        InvalidInput: no reasons, or words that label people.
    """
    _, row = referral.for_second_reader(session, user, referral_id)
    reading = reading_of(session, user, referral_id)
    if reading is None:
        raise Conflict("Say what you see in the post first: the decision is shown after that")
    if not reasons.strip():
        raise InvalidInput("Write why you agree, or why not", field="reasons")
    wording.check_neutral(reasons, "reasons")
    reading.agrees, reading.reasons, reading.answered_at = agrees, reasons.strip(), now
    session.flush()
    _record(session, user, row, Operation.ALTERATION, "second_reading.answered", agrees=agrees)
    if agrees:
        referral.confirm(session, user, referral_id)
    else:
        referral.object_to(session, user, referral_id, note=reasons, now=now)
    return reading


def why(session: Session, row: Referral) -> list[NeedsSecondPerson]:
    """Why this referral needs a second reader. Tells of the decision: for after the reading, and for approvers."""
    decision = session.get_one(Decision, row.decision_id)
    judgement = session.get_one(Judgement, decision.judgement_id)
    return second_person(decision.codes, judgement.contexts, sources.grounds_of(decision).possible_child)


def given_for(session: Session, referral_id: uuid.UUID) -> list[tuple[SecondReading, str]]:
    """The answered readings of a referral with the readers' pseudonyms, for its approver."""
    rows = session.execute(
        select(SecondReading, User.pseudonym)
        .join(User, User.id == SecondReading.user_id)
        .where(SecondReading.referral_id == referral_id, SecondReading.agrees.is_not(None))
        .order_by(SecondReading.id)
    )
    return [(reading, pseudonym) for reading, pseudonym in rows]


def _submitted(user: User) -> ColumnElement[bool]:
    since = exists().where(Report.case_id == Referral.case_id, Report.submitted_by == user.id)
    return or_(literal(user.id) == any_(Referral.submitter_ids), since)


def _record(session: Session, user: User, row: Referral, operation: Operation, kind: str, **data: object) -> None:
    audit.record(
        session,
        accounts.actor_of(user),
        Entry(operation, kind, "referral", str(row.id), case_id=row.case_id, data=data),
    )
