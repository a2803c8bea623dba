"""What the dashboards show, read from what was counted. Six queries, whatever the number of cases."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import String, cast, func, select
from sqlalchemy.orm import Session

from annotations.agreement import Pairs
from annotations.figures import change_points
from triage.db import Figure
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, Tier

#: Fewer than this in a cell, and it is not shown (domain rule for places and groups).
SMALLEST = 5
AGES = {
    "1": "under 1 hour",
    "2": "1 to 8 hours",
    "3": "8 to 24 hours",
    "4": "1 to 3 days",
    "5": "over 3 days",
}
_HOURS = 48
_SUMMED = ("first_look", "outcome", "calibration", "override", "agreement")


@dataclass(frozen=True, slots=True)
class Flow:
    """In and out within one hour or day."""

    at: datetime
    received: int
    decided: int


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``n``."""

    hits: int
    n: int

    @property
    def percent(self) -> float | None:
        return 100 * self.hits / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores between ``low`` and ``low`` + 10 %: their mean, and how often the reader said so before seeing them."""

    low: int
    n: int
    hits: int
    mean: float

    @property
    def observed(self) -> float:
        return self.hits / self.n


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two first judgements of the same case, on one topic."""

    topic: str
    title: str
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Trend:
    """Cases of one scope tag by day, and the days on which the level changed."""

    scope: str
    days: tuple[date, ...]
    counts: tuple[int, ...]
    marks: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Place:
    """Cases of one scope tag from one coarse area; ``n`` is ``None`` below `SMALLEST`."""

    scope: str
    area: str
    n: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything on the page."""

    counted_at: datetime | None
    days: int
    backlog: Mapping[Tier, Mapping[str, int]]
    overdue: int
    by_hour: tuple[Flow, ...]
    by_day: tuple[Flow, ...]
    first_look: Mapping[Tier, Mapping[str, int]]
    outcomes: Mapping[Outcome, int]
    bins: tuple[Bin, ...]
    override: Mapping[str, Share]
    agreement: tuple[Agreement, ...]
    trends: tuple[Trend, ...]
    places: tuple[Place, ...]

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error: the mean distance between score and finding, weighted by how many."""
        n = sum(bin_.n for bin_ in self.bins)
        return sum(abs(bin_.mean - bin_.observed) * bin_.n for bin_ in self.bins) / n if n else None


def read(session: Session, *, days: int, now: datetime) -> Figures:
    """The figures of the last ``days`` days, today included."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=days - 1)
    counted_at = session.scalar(select(Figure.counted_at).where(Figure.name == "counted"))
    backlog, overdue = _backlog(session)
    sums = _sums(session, start)
    return Figures(
        counted_at=counted_at,
        days=days,
        backlog=backlog,
        overdue=overdue,
        by_hour=_flow(session, "hour", now.replace(minute=0, second=0, microsecond=0), _HOURS),
        by_day=_flow(session, "day", today, days),
        first_look=_by_tier({part: n for part, (n, _, _) in sums["first_look"].items()}),
        outcomes={outcome: sums["outcome"].get(str(outcome), (0, 0, 0.0))[0] for outcome in Outcome},
        bins=tuple(
            Bin(int(part) * 10, n, hits, total / n) for part, (n, hits, total) in sorted(sums["calibration"].items())
        ),
        override={part: Share(hits, n) for part, (n, hits, _) in sums["override"].items()},
        agreement=tuple(_agreement({part: n for part, (n, _, _) in sums["agreement"].items()})),
        trends=tuple(_trends(session, start, days)),
        places=tuple(_places(session, start)),
    )


def _backlog(session: Session) -> tuple[Mapping[Tier, Mapping[str, int]], int]:
    newest = select(func.max(Figure.at)).where(Figure.name == "backlog").scalar_subquery()
    latest = select(func.date_trunc("hour", Figure.counted_at, "UTC")).where(Figure.name == "counted").scalar_subquery()
    rows = session.execute(
        select(Figure.part, Figure.n, Figure.hits).where(
            # An empty backlog leaves no row: then the newest one is of an earlier hour.
            Figure.name == "backlog",
            Figure.at == newest,
            newest >= latest,
        )
    ).all()
    return _by_tier({row.part: row.n for row in rows}), sum(row.hits for row in rows)


def _by_tier(counts: Mapping[str, int]) -> dict[Tier, dict[str, int]]:
    """``{"P1|kept": 3}`` as ``{P1: {"kept": 3}}``, all tiers in order."""
    found: dict[Tier, dict[str, int]] = {tier: {} for tier in Tier}
    for part, n in counts.items():
        tier, _, rest = part.partition("|")
        found[Tier(tier)][rest] = n
    return found


def _flow(session: Session, unit: str, last: datetime, count: int) -> tuple[Flow, ...]:
    step = timedelta(**{f"{unit}s": 1})
    times = [last.astimezone(UTC) - step * back for back in range(count - 1, -1, -1)]
    at = func.date_trunc(unit, Figure.at, "UTC")
    rows = session.execute(
        select(Figure.name, at, func.sum(Figure.n))
        .where(Figure.name.in_(("received", "decided")), Figure.at >= times[0])
        .group_by(Figure.name, at)
    )
    found = {(name, when.astimezone(UTC)): int(n) for name, when, n in rows}
    return tuple(Flow(when, found.get(("received", when), 0), found.get(("decided", when), 0)) for when in times)


def _sums(session: Session, start: datetime) -> dict[str, dict[str, tuple[int, int, float]]]:
    rows = session.execute(
        select(Figure.name, Figure.part, func.sum(Figure.n), func.sum(Figure.hits), func.sum(Figure.total))
        .where(Figure.name.in_(_SUMMED), Figure.at >= start)
        .group_by(Figure.name, Figure.part)
    )
    found: dict[str, dict[str, tuple[int, int, float]]] = {name: {} for name in _SUMMED}
    for name, part, n, hits, total in rows:
        found[name][part] = (int(n), int(hits), float(total))
    return found


def _agreement(counts: Mapping[str, int]) -> Iterable[Agreement]:
    """A topic that neither of any two readers ever named is left out."""
    for topic in ("any", *CODES):
        pairs = Pairs(*(counts.get(f"{topic}|{said}", 0) for said in (2, 1, 0)))
        if pairs.both or pairs.one:
            yield Agreement(topic, CODES[topic].title if topic in CODES else "Any violation", pairs)


def _trends(session: Session, start: datetime, days: int) -> Iterable[Trend]:
    """A scope with fewer than `SMALLEST` cases in the whole time is left out."""
    scope, day = func.split_part(Figure.part, "|", 1), cast(func.timezone("UTC", Figure.at), String)
    rows = session.execute(
        select(scope, day, func.sum(Figure.n))
        .where(Figure.name == "trend", Figure.at >= start)
        .group_by(scope, day)
        .order_by(scope)
    )
    found: dict[str, dict[date, int]] = defaultdict(dict)
    for name, when, n in rows:
        found[name][date.fromisoformat(when[:10])] = int(n)
    dates = tuple(start.date() + timedelta(days=number) for number in range(days))
    for name, by_day in found.items():
        counts = tuple(by_day.get(when, 0) for when in dates)
        if sum(counts) >= SMALLEST:
            yield Trend(name, dates, counts, tuple(change_points.marked(counts)))


def _places(session: Session, start: datetime) -> Iterable[Place]:
    """Scope by area. Where only one cell of a scope is too small, the next smallest goes too, or the sum would tell."""
    rows = session.execute(
        select(Figure.part, func.sum(Figure.n))
        .where(Figure.name == "trend", Figure.at >= start)
        .group_by(Figure.part)
        .order_by(Figure.part)
    )
    by_scope: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for part, n in rows:
        scope, _, area = part.partition("|")
        by_scope[scope].append((area, int(n)))
    for scope, cells in by_scope.items():
        hidden = hidden_cells([n for _, n in cells])
        for number, (area, n) in enumerate(cells):
            yield Place(scope, area, None if number in hidden else n)


def hidden_cells(counts: Sequence[int]) -> set[int]:
    """Which of these cells, whose sum is known, are not shown: those below `SMALLEST`, and one more where it is one."""
    hidden = {number for number, n in enumerate(counts) if n < SMALLEST}
    others = [number for number in range(len(counts)) if number not in hidden]
    if len(hidden) == 1 and others:
        hidden.add(min(others, key=lambda number: counts[number]))
    return hidden
