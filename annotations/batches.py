"""Low-risk posts read on one page and decided together as no violation. Nothing closes that nobody has read.

A range of risk is chosen, never single posts by their score; a few posts are drawn from it at random, all their words
are shown, and what the reader leaves in is decided, each case with a judgement, decision and events of its own. It can
be undone for a while. See docs/decisions/0012-batches.md.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from annotations import review, wellbeing
from annotations.review import View
from triage import accounts, audit, cases
from triage.audit import Entry
from triage.db import Batch, Case, Decision, Post, User
from triage.db.batches import MOST
from triage.domain.errors import Conflict, Forbidden, GateClosed, InvalidInput, NotFound
from triage.domain.lifecycle import CaseEvent, CaseStatus, Outcome
from triage.domain.taxonomy import NO_VIOLATION, Imminence, SpeechAct, Target, Tier
from triage.domain.words import Operation, Role

#: For so long the reader can take it all back.
UNDO = timedelta(minutes=10)
#: Ranges of risk, each ten points wide: narrower, and the range would be a score.
RANGES = tuple((low / 100, (low + 10) / 100) for low in range(0, 50, 10))
#: The distribution is of so many cases at most, so that it takes no longer with a million.
_LOOKED_AT = 20_000
_NOTHING_HERE = View((NO_VIOLATION,), SpeechAct.UNCLEAR, Target.NONE, Imminence.UNSPECIFIED)


@dataclass(frozen=True, slots=True)
class Shown:
    """One post of a batch, as it is read: no score."""

    case_id: uuid.UUID
    number: int
    platform: str
    reports: int
    text: str
    open: bool


def distribution(session: Session, *, now: datetime) -> dict[tuple[float, float], int]:
    """How many cases that may be read in batches lie in each range of risk."""
    some = select(Case.risk).where(*_of_low_risk(now)).limit(_LOOKED_AT).subquery()
    step = func.floor(some.c.risk * 10)
    found = {int(low): n for low, n in session.execute(select(step, func.count()).group_by(step))}
    return {range_: found.get(round(range_[0] * 10), 0) for range_ in RANGES}


def draw(session: Session, user: User, low: float, *, now: datetime) -> Batch:
    """Draw posts from the range that begins at ``low``.

    Raises:
        InvalidInput: there is no such range, or nothing in it.
        Conflict: the user holds a case.
        BreakDue: the user has read enough for now.
    """
    accounts.require(user, Role.MODERATOR)
    chosen = next((range_ for range_ in RANGES if range_[0] == low), None)
    if chosen is None:
        raise InvalidInput("Choose one of the ranges", field="range")
    if (held := review.holds(session, user, now=now)) is not None:
        raise Conflict(f"You are reading case {held.number}: decide it, or put it back, before you read a batch")
    wellbeing.check(session, user, now=now)
    within = (Case.risk >= chosen[0], Case.risk < chosen[1], wellbeing.not_left_out(user, now=now))
    some = select(Case.id).where(*_of_low_risk(now), *within).limit(_LOOKED_AT).subquery()
    drawn = session.scalars(select(some.c.id).order_by(func.random()).limit(MOST)).all()
    if not drawn:
        raise InvalidInput("Nothing is left in this range: choose another", field="range")
    batch = Batch(user_id=user.id, low=chosen[0], high=chosen[1], case_ids=list(drawn))
    session.add(batch)
    session.flush()
    _record(session, user, batch, "batch.drawn", {"cases": len(drawn), "low": chosen[0], "high": chosen[1]})
    return batch


def own(session: Session, user: User, batch_id: uuid.UUID, *, lock: bool = False) -> Batch:
    """The user's batch. Raises NotFound, also for somebody else's."""
    accounts.require(user, Role.MODERATOR)
    query = select(Batch).where(Batch.id == batch_id, Batch.user_id == user.id)
    batch = session.scalar(query.with_for_update() if lock else query)
    if batch is None:
        raise NotFound("There is no such batch")
    return batch


def read(session: Session, user: User, batch: Batch, *, now: datetime) -> list[Shown]:
    """The posts, for reading; the reading of each is an event in the same transaction."""
    rows = session.execute(
        select(Case, Post.text, Post.platform)
        .join(Post, Post.id == Case.post_id)
        .where(Case.id.in_(batch.case_ids))
        .order_by(Case.number)
    ).all()
    entries = [
        Entry(Operation.CONSULTATION, "case.read", "case", str(c.id), c.id, data={"batch": str(batch.id)})
        for c, _, _ in rows
    ]
    audit.record(session, accounts.actor_of(user), *entries)
    wellbeing.begin(session, user, rows[0][0], now=now)
    return [
        Shown(case.id, case.number, platform, case.report_count, text or "", _is_free(case, now))
        for case, text, platform in rows
    ]


def decide(
    session: Session, user: User, batch_id: uuid.UUID, *, keep_out: Collection[uuid.UUID], now: datetime
) -> Batch:
    """Decide what was shown and not kept out as no violation, each case for itself. Sent twice, it is done once.

    Left for somebody else: what the user submitted or decided before, and what another person has taken meanwhile.
    """
    batch = own(session, user, batch_id, lock=True)
    if batch.decided_at is not None:
        return batch
    done = []
    for case_id in sorted(set(batch.case_ids) - set(keep_out)):
        try:
            with session.begin_nested():
                _decide_one(session, user, case_id, now)
        except (Forbidden, Conflict, GateClosed):  # not the user's to decide
            continue
        done.append(case_id)
    wellbeing.end(session, user, now=now)
    batch.decided_ids, batch.decided_at = done, now
    _record(session, user, batch, "batch.decided", {"decided": len(done), "left": len(batch.case_ids) - len(done)})
    return batch


def undo(session: Session, user: User, batch_id: uuid.UUID, *, now: datetime) -> int:
    """Open the cases again, as if nobody had decided them; returns how many.

    A case about which something else happened meanwhile stays as it is.

    Raises:
        Conflict: it is too late, or it was done before.
    """
    batch = own(session, user, batch_id, lock=True)
    if batch.decided_at is None or batch.undone_at is not None:
        raise Conflict("There is nothing to undo")
    if now > batch.decided_at + UNDO:
        raise Conflict(f"It is too late to undo this: {UNDO.seconds // 60} minutes have passed. Ask an approver")
    opened = 0
    for case_id in sorted(batch.decided_ids):
        case = cases.locked(session, case_id)
        newest = select(Decision.user_id).where(Decision.case_id == case_id).order_by(Decision.id.desc()).limit(1)
        if case.status != CaseStatus.DECIDED.value or session.scalar(newest) != user.id:
            continue
        actor = accounts.actor_of(user)
        cases.advance(session, actor, case, CaseEvent.REOPENED, because="batch_undone", batch=str(batch.id))
        cases.put_in_place(case, now=now)
        opened += 1
    batch.undone_at = now
    _record(session, user, batch, "batch.undone", {"opened": opened})
    return opened


def _decide_one(session: Session, user: User, case_id: uuid.UUID, now: datetime) -> None:
    case = cases.locked(session, case_id)
    if not _is_free(case, now):
        raise Conflict("Somebody has taken it, or it is no longer of low risk")
    review.claim(session, user, case_id, now=now)
    review.judge_first(session, user, case_id, _NOTHING_HERE, now=now)
    review.decide(
        session, user, case_id, _NOTHING_HERE, outcome=Outcome.NO_VIOLATION, reasons="", grounds=None, now=now
    )


def _of_low_risk(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Case.status == CaseStatus.OPEN.value,
        Case.band >= Tier.P3.level,
        Case.tier.in_((str(Tier.P3), str(Tier.P4))),
        Case.assessed.is_(True),
        Case.flagged.is_(False),
        Case.urgent.is_(False),
        or_(Case.lease_until.is_(None), Case.lease_until < now),
    )


def _is_free(case: Case, now: datetime) -> bool:
    """As ``_of_low_risk``, of a row; late cases count too."""
    low = case.tier in (Tier.P3, Tier.P4) and case.assessed and not case.flagged and not case.urgent
    free = case.lease_until is None or case.lease_until < now
    return case.status == CaseStatus.OPEN.value and bool(low) and free


def _record(session: Session, user: User, batch: Batch, kind: str, data: dict[str, float]) -> None:
    entry = Entry(Operation.COMBINATION, kind, "batch", str(batch.id), data=data)
    audit.record(session, accounts.actor_of(user), entry)
