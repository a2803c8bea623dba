"""What the queue page shows: one page of cases, how full each queue is, and the clocks of the tiers.

Nothing here depends on how many cases there are. A page goes on from the last case of the one before it; filters look
through a window of the order, not through all of it; and nobody needs to know whether 1,000 or 40,000 cases wait.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, column, exists, func, literal, or_, select, tuple_, values
from sqlalchemy.orm import Session, aliased

from triage.db import Alert, Case, Decision, Event, Post, Report, User
from triage.domain.lifecycle import CaseEvent, CaseStatus
from triage.domain.priority import Step, explain, place
from triage.domain.routing import CURRENT
from triage.domain.taxonomy import Tier

ON_A_PAGE = 25
#: So many cases of the order are looked through for those that fit the filters; then the page offers to look further.
WINDOW = 2000
#: Counted up to here; past it the page says "more than".
COUNTED = 1000
# A literal: a plan that is kept for all parameters could not use the indexes of open cases.
_OPEN = Case.status == literal(CaseStatus.OPEN.value, literal_execute=True)
_UNSEEN = and_(_OPEN, Case.seen_at.is_(None))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which cases to list. Nothing that only the machine knows can be asked for."""

    queue: str | None = None
    tiers: tuple[str, ...] = ()
    platform: str = ""
    waiting_hours: int = 0
    reports: int = 0
    assessed: bool | None = None
    unseen: bool = False
    mine: bool = False

    @property
    def narrow(self) -> bool:
        """Whether more is asked for than a queue, so that the order has to be looked through."""
        return self != Filters(queue=self.queue)


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of the queue: why it stands where it stands. No post text, no score, no proposed code:
    the reader judges first."""

    id: uuid.UUID
    number: int
    tier: Tier
    queue: str
    deadline_at: datetime
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    report_count: int
    assessed: bool
    seen: bool
    platform: str
    mine: bool
    taken: bool
    #: Who reads it now, or for whom it is kept, by pseudonym; until when.
    reader: str | None
    kept_for: str | None
    kept_until: datetime | None
    hold_until: datetime | None
    own_submission: bool
    decided_before: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the queue. ``after``: the number of the case to go on from; ``None`` at the end. ``cut``: the window was
    looked through before the page was full."""

    rows: tuple[QueueRow, ...]
    after: int | None
    cut: bool


def page(session: Session, user: User, filters: Filters, *, now: datetime, after: int | None = None) -> Page:
    """The next cases in the order in which they should be read, in at most three queries."""
    window = _window(session, filters, user, now, after)
    ordered = aliased(Case, window.subquery("ordered"))
    found = session.execute(_listed(ordered, user).where(*_fits(ordered, filters, now)).limit(ON_A_PAGE + 1)).all()
    rows = tuple(_row(user, now, *one) for one in found[:ON_A_PAGE])
    if len(found) > ON_A_PAGE:
        return Page(rows, rows[-1].number, cut=False)
    if not filters.narrow or filters.mine:
        return Page(rows, None, cut=False)
    last = session.scalar(select(ordered.number).order_by(*_order(ordered)).offset(WINDOW - 1).limit(1))
    return Page(rows, last, cut=last is not None)


def _order(case: Any) -> tuple[ColumnElement[Any], ...]:
    return (case.band, case.deadline_at, case.risk.desc(), case.id)


def _window(session: Session, filters: Filters, user: User, now: datetime, after: int | None) -> Select[Case]:
    """The part of the order to look at. Ties of band and deadline are told apart by risk, then by id."""
    query = select(Case).where(_OPEN).order_by(*_order(Case)).limit(WINDOW if filters.narrow else ON_A_PAGE + 1)
    if filters.queue:
        query = query.where(Case.queue == filters.queue)
    if filters.mine:
        query = query.where(_concerns(user, now))
    last = (
        session.execute(
            select(Case.band, Case.deadline_at, Case.risk, Case.id).where(Case.number == after, Case.band.is_not(None))
        ).first()
        if after
        else None
    )
    if last is None:
        return query
    band, deadline, risk, case_id = last
    here, there = tuple_(Case.band, Case.deadline_at), tuple_(band, deadline)
    return query.where(here >= there, or_(here > there, Case.risk < risk, and_(Case.risk == risk, Case.id > case_id)))


def _concerns(user: User, now: datetime) -> ColumnElement[bool]:
    """Reads it now, has it kept for them, or put it on hold."""
    return or_(
        and_(Case.lease_user_id == user.id, Case.lease_until >= now),
        and_(Case.assigned_user_id == user.id, Case.assigned_until >= now),
        and_(Case.hold_user_id == user.id, Case.hold_until >= now),
    )


def _listed(case: Any, user: User) -> Select[Any]:
    reader, keeper = aliased(User), aliased(User)
    own = exists().where(Report.case_id == case.id, Report.submitted_by == user.id)
    reopened = exists().where(
        Event.case_id == case.id, Event.kind == CaseEvent.REOPENED.value, Event.at > Decision.created_at
    )
    decided = exists().where(Decision.case_id == case.id, Decision.user_id == user.id, ~reopened)
    return (
        select(case, Post.platform, reader.pseudonym, keeper.pseudonym, own, decided)
        .join(Post, Post.id == case.post_id)
        .outerjoin(reader, reader.id == case.lease_user_id)
        .outerjoin(keeper, keeper.id == case.assigned_user_id)
        .order_by(*_order(case))
    )


def _fits(case: Any, filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if filters.tiers:
        wanted.append(case.tier.in_(filters.tiers))
    if filters.platform:
        wanted.append(Post.platform == filters.platform.lower())
    if filters.waiting_hours:
        wanted.append(case.received_at <= now - timedelta(hours=filters.waiting_hours))
    if filters.reports:
        wanted.append(case.report_count >= filters.reports)
    if filters.assessed is not None:
        wanted.append(case.assessed.is_(filters.assessed))
    if filters.unseen:
        wanted.append(case.seen_at.is_(None))
    return wanted


def _row(
    user: User, now: datetime, case: Case, platform: str, reader: str | None, keeper: str | None, own: bool, done: bool
) -> QueueRow:
    tier = Tier(case.tier or Tier.P2)
    where = place(
        tier,
        received_at=case.received_at,
        risk=case.risk,
        report_count=case.report_count,
        urgent_report=case.urgent,
        now=now,
    )
    held = _runs(case.lease_until, now) and case.lease_user_id is not None
    kept = _runs(case.assigned_until, now)
    return QueueRow(
        id=case.id,
        number=case.number,
        tier=tier,
        queue=case.queue,
        deadline_at=case.deadline_at or where.deadline,
        reasons=where.reasons,
        steps=explain(where, tier, received_at=case.received_at, report_count=case.report_count, now=now),
        report_count=case.report_count,
        assessed=bool(case.assessed),
        seen=case.seen_at is not None,
        platform=platform,
        mine=held and case.lease_user_id == user.id,
        taken=held and case.lease_user_id != user.id,
        reader=reader if held else None,
        kept_for=("you" if case.assigned_user_id == user.id else keeper) if kept else None,
        kept_until=case.assigned_until if kept else None,
        hold_until=case.hold_until if _runs(case.hold_until, now) else None,
        own_submission=own,
        decided_before=done,
    )


def _runs(until: datetime | None, now: datetime) -> bool:
    return until is not None and until >= now


def fill(session: Session) -> dict[str, int]:
    """How many open cases each queue has, counted no further than ``COUNTED`` + 1."""
    names = values(column("name", Text), name="names").data([(queue.name,) for queue in CURRENT.queues])
    some = (
        select(literal(1).label("one"))
        .where(_OPEN, Case.queue == names.c.name)
        .order_by(Case.band, Case.deadline_at)  # that of the queue's index: else all cases are read for a short queue
        .correlate(names)
        .limit(COUNTED + 1)
        .lateral("some")
    )
    rows = session.execute(
        select(names.c.name, func.count(some.c.one)).outerjoin(some, literal(True)).group_by(names.c.name)
    )
    return dict(rows.all())


@dataclass(frozen=True, slots=True)
class TierClock:
    """One tier: how many cases wait for their first look (counted no further than ``COUNTED`` + 1), how many of them
    are past its time, and when the first of them is, or was, due."""

    tier: Tier
    waiting: int
    overdue: int
    first_due: datetime | None


def clocks(session: Session, *, now: datetime) -> list[TierClock]:
    """What has had no first look yet, by tier, most urgent first, in one query."""
    tiers = values(column("tier", Text), name="tiers").data([(str(tier),) for tier in Tier])
    due = (
        select(Case.deadline_at)
        .where(_UNSEEN, Case.tier == tiers.c.tier)
        .order_by(Case.deadline_at)
        .correlate(tiers)
        .limit(COUNTED + 1)
        .lateral("due")
    )
    rows = session.execute(
        select(
            tiers.c.tier,
            func.count(due.c.deadline_at),
            func.count().filter(due.c.deadline_at < now),
            func.min(due.c.deadline_at),
        )
        .outerjoin(due, literal(True))
        .group_by(tiers.c.tier)
        .order_by(tiers.c.tier)
    )
    return [TierClock(Tier(tier), waiting, overdue, first) for tier, waiting, overdue, first in rows]


@dataclass(frozen=True, slots=True)
class Call:
    """A P0 that nobody has looked at, and who was called about it so far."""

    case_id: uuid.UUID
    number: int
    received_at: datetime
    deadline_at: datetime
    #: When the newest call went out; ``None``: none has arrived yet. ``steps``: how many on call were called.
    delivered_at: datetime | None
    steps: int
    failure: str | None


def calls(session: Session, *, limit: int = 3) -> Sequence[Call]:
    """The threats to life that nobody has looked at, the first due first."""
    newest = (
        select(Alert.delivered_at, Alert.step, Alert.failure)
        .where(Alert.case_id == Case.id)
        .order_by(Alert.step.desc())
        .limit(1)
        .correlate(Case)
        .lateral("newest")
    )
    rows = session.execute(
        select(Case, newest.c.delivered_at, newest.c.step, newest.c.failure)
        .outerjoin(newest, literal(True))
        .where(_UNSEEN, Case.tier == literal(Tier.P0.value, literal_execute=True))
        .order_by(Case.deadline_at)
        .limit(limit)
    )
    return [
        Call(
            case_id=case.id,
            number=case.number,
            received_at=case.received_at,
            deadline_at=case.deadline_at or case.received_at,
            delivered_at=delivered,
            steps=0 if step is None else step + 1,
            failure=failure,
        )
        for case, delivered, step, failure in rows
    ]
