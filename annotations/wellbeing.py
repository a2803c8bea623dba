"""How much heavy content a person has read, the breaks that follow from it, and what they do not want to read.

All of it is the person's own business. Nothing outside this module reads these tables, nothing here takes anybody's
figures but those of the person who asks, and nothing of it is written into the log: that is kept for another purpose.
The one exception is a break set aside for a threat to life, which is an event with its reason.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, any_, delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from triage import accounts, audit, cases
from triage.audit import Entry
from triage.db import Case, ExposureRow, LeftOutTopic, MediaChoice, User
from triage.domain import exposure
from triage.domain.errors import BreakDue, Conflict, InvalidInput
from triage.domain.exposure import Break, Exposure, Limits
from triage.domain.lifecycle import CaseStatus
from triage.domain.taxonomy import SCORED_CODES, Tier
from triage.domain.words import Operation, Role
from triage.settings import current

#: More topics than that left out, and what is still given out would say what a machine proposed for it.
MOST_LEFT_OUT = 6


class CallOut(StrEnum):
    """Why somebody on call reads a threat to life although a break is due. Chosen, not written: it is logged."""

    NOBODY_ELSE = "nobody_else"
    CALLED_IN = "called_in"
    KNOWS_THE_CASE = "knows_the_case"


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """One person's figures of today, for that person."""

    spent: timedelta
    a_day: timedelta
    stretch: timedelta
    at_a_stretch: timedelta
    pause: timedelta
    break_due: Break | None


@dataclass(frozen=True, slots=True)
class Media:
    """How pictures and sound are shown, once asked for."""

    blur: bool = True
    greyscale: bool = True
    mute: bool = True


def limits() -> Limits:
    settings = current()
    return Limits(
        a_day=timedelta(minutes=settings.exposure_minutes_a_day),
        at_a_stretch=timedelta(minutes=settings.exposure_minutes_at_a_stretch),
        pause=timedelta(minutes=settings.break_minutes),
    )


def support_contacts() -> list[str]:
    """Who is there for reviewers, as the operator named them."""
    return [contact.strip() for contact in current().support_contacts.split(";") if contact.strip()]


def check(session: Session, user: User, *, now: datetime, case: Case | None = None) -> None:
    """Call it before a case is given out, and with ``case`` where the person chose it.

    Raises:
        BreakDue: the person has read enough for now, and is not called out for this very case.
    """
    row = session.get(ExposureRow, user.id)
    if row is None or (case is not None and row.called_out_for == case.id):
        return
    due = exposure.break_due(_put_down(row, now), now=now, limits=limits())
    if due is None:
        return
    if due.whole_day:
        raise BreakDue("You have read enough heavy content for today. Nothing waits that others cannot read. Thank you")
    raise BreakDue(f"You have read for a good while. Your next case comes after a break, at {due.until:%H:%M} UTC")


def begin(session: Session, user: User, case: Case, *, now: datetime) -> None:
    """The person has taken a case."""
    row = _locked(session, user, now)
    tier = Tier(case.tier) if case.tier else None
    weight = exposure.weight(tier, assessed=bool(case.assessed))
    _write(row, exposure.begun(_put_down(row, now), weight=weight, now=now, limits=limits()))
    row.called_out_for = None


def end(session: Session, user: User, *, now: datetime) -> None:
    """The person has put the case down: decided, passed or given back."""
    row = _locked(session, user, now)
    _write(row, _put_down(row, now))


def not_left_out(user: User, *, now: datetime) -> ColumnElement[bool]:
    """Of a case: no code proposed for it is one that the person does not want to be given."""
    return ~exists().where(
        LeftOutTopic.user_id == user.id,
        LeftOutTopic.code == any_(Case.codes),
        or_(LeftOutTopic.until.is_(None), LeftOutTopic.until >= exposure.day_of(now)),
    )


def own_figures(session: Session, user: User, *, now: datetime) -> OwnFigures:
    """The person's own figures; a case in hand counts up to now."""
    allowed = limits()
    row = session.get(ExposureRow, user.id)
    state = _put_down(row, now) if row else Exposure(exposure.day_of(now))
    state = exposure.today(state, now=now, limits=allowed)
    stretch = state.last_at - state.stretch_from if state.last_at and state.stretch_from else timedelta(0)
    due = exposure.break_due(state, now=now, limits=allowed)
    return OwnFigures(state.spent, allowed.a_day, stretch, allowed.at_a_stretch, allowed.pause, due)


def call_out(session: Session, user: User, case_id: uuid.UUID, reason: CallOut, *, now: datetime) -> Case:
    """Let the person on call take this threat to life although a break is due; the reason is logged.

    Only they themselves can say so: there is no way to do it for somebody else.

    Raises:
        Conflict: the case is not an open P0.
    """
    accounts.require(user, Role.MODERATOR)
    case = cases.locked(session, case_id)
    if case.status != CaseStatus.OPEN.value or case.tier != Tier.P0:
        raise Conflict("Only an open threat to life (P0) can be taken before the break is over")
    _locked(session, user, now).called_out_for = case.id
    entry = Entry(
        Operation.SYSTEM, "break.set_aside", "case", str(case.id), case_id=case.id, data={"reason": str(reason)}
    )
    audit.record(session, accounts.actor_of(user), entry)
    return case


def open_threats(session: Session, *, now: datetime) -> list[Case]:
    """Threats to life that nobody is reading, the oldest first."""
    return list(
        session.scalars(
            select(Case)
            .where(
                Case.status == CaseStatus.OPEN.value,
                Case.band == Tier.P0.level,
                Case.tier == str(Tier.P0),
                or_(Case.lease_until.is_(None), Case.lease_until < now),
            )
            .order_by(Case.deadline_at)
            .limit(5)
        )
    )


def left_out_topics(session: Session, user: User, *, now: datetime) -> dict[str, date | None]:
    """The person's topics, each with its last day (``None``: always)."""
    rows = session.scalars(
        select(LeftOutTopic).where(
            LeftOutTopic.user_id == user.id,
            or_(LeftOutTopic.until.is_(None), LeftOutTopic.until >= exposure.day_of(now)),
        )
    )
    return {row.code: row.until for row in rows}


def leave_out(session: Session, user: User, topics: Mapping[str, date | None]) -> None:
    """Replace the person's topics. Nobody asks why, and nobody is told.

    Raises:
        InvalidInput: an unknown code, or too many.
    """
    if unknown := sorted(set(topics) - set(SCORED_CODES)):
        raise InvalidInput(f"Unknown topic {', '.join(unknown)}", field="topics")
    if len(topics) > MOST_LEFT_OUT:
        raise InvalidInput(f"Leave out at most {MOST_LEFT_OUT} topics, or speak to your lead", field="topics")
    session.execute(delete(LeftOutTopic).where(LeftOutTopic.user_id == user.id))
    session.add_all(LeftOutTopic(user_id=user.id, code=code, until=until) for code, until in topics.items())


def media(session: Session, user: User) -> Media:
    row = session.get(MediaChoice, user.id)
    return Media(row.blur, row.greyscale, row.mute) if row else Media()


def choose_media(session: Session, user: User, choice: Media) -> None:
    values = {"blur": choice.blur, "greyscale": choice.greyscale, "mute": choice.mute}
    statement = insert(MediaChoice).values(user_id=user.id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[MediaChoice.user_id], set_=values))


def forget(session: Session, *, now: datetime) -> int:
    """Delete what was read on earlier days, and topics whose last day is over; returns how many rows."""
    today = exposure.day_of(now)
    old = delete(ExposureRow).where(ExposureRow.day < today - timedelta(days=1)).returning(ExposureRow.user_id)
    over = delete(LeftOutTopic).where(LeftOutTopic.until < today).returning(LeftOutTopic.code)
    return len(session.scalars(old).all()) + len(session.scalars(over).all())


def _locked(session: Session, user: User, now: datetime) -> ExposureRow:
    """The person's row, made if need be, locked: two browsers of one person count one after the other."""
    made = insert(ExposureRow).values(user_id=user.id, day=exposure.day_of(now))
    session.execute(made.on_conflict_do_nothing())
    query = select(ExposureRow).where(ExposureRow.user_id == user.id).with_for_update()
    return session.scalars(query, execution_options={"populate_existing": True}).one()


def _put_down(row: ExposureRow, now: datetime) -> Exposure:
    """The state once the case in hand is counted. One left lying counts until its lease ran out."""
    state = Exposure(
        day=row.day,
        spent=timedelta(seconds=row.spent_seconds),
        stretch_from=row.stretch_from,
        last_at=row.last_at,
        reading_from=row.reading_from,
        reading_weight=row.reading_weight,
    )
    return exposure.ended(state, now=now, at_most=timedelta(minutes=current().lease_minutes), limits=limits())


def _write(row: ExposureRow, state: Exposure) -> None:
    row.day, row.spent_seconds = state.day, state.spent.total_seconds()
    row.stretch_from, row.last_at = state.stretch_from, state.last_at
    row.reading_from, row.reading_weight = state.reading_from, state.reading_weight
