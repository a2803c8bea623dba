"""How much heavy content one person has read today and at a stretch, and when a break is due.

Time counts by what was read: an hour of the most urgent tiers is an hour, of the mildest a quarter. What nobody
assessed counts in full, because nobody knows what it holds. A reading counts as a minute at least, so that hurrying
does not make room for more.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from triage.domain.taxonomy import Tier

WEIGHTS = {Tier.P0: 1.0, Tier.P1: 1.0, Tier.P2: 0.5, Tier.P3: 0.25, Tier.P4: 0.25}
LEAST = timedelta(minutes=1)
#: A working day starts at 04:00 UTC, so that a night shift is one day and not two.
DAY_STARTS = timedelta(hours=4)
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one person: weighted time a day, time at a stretch, and the break that ends a stretch."""

    a_day: timedelta
    at_a_stretch: timedelta
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one person has read. Nothing of earlier days is in it."""

    day: date
    spent: timedelta = _NOTHING
    stretch_from: datetime | None = None
    last_at: datetime | None = None
    reading_from: datetime | None = None
    reading_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Break:
    """Until when nothing more is given out; ``whole_day`` where the day's share is used up."""

    until: datetime
    whole_day: bool


def day_of(now: datetime) -> date:
    return (now - DAY_STARTS).date()


def weight(tier: Tier | None, *, assessed: bool) -> float:
    """What a minute with a case of this tier counts, between 0 and 1."""
    return WEIGHTS[tier] if tier is not None and assessed else 1.0


def today(exposure: Exposure, *, now: datetime, limits: Limits) -> Exposure:
    """As it stands now: a new day has nothing spent, and a pause that was long enough has ended the stretch."""
    if exposure.day != day_of(now):
        exposure = replace(exposure, day=day_of(now), spent=_NOTHING)
    rested = exposure.last_at is not None and now - exposure.last_at >= limits.pause
    if rested and exposure.reading_from is None:
        exposure = replace(exposure, stretch_from=None)
    return exposure


def begun(exposure: Exposure, *, weight: float, now: datetime, limits: Limits) -> Exposure:
    """A case was opened at ``now``."""
    exposure = today(exposure, now=now, limits=limits)
    return replace(
        exposure, stretch_from=exposure.stretch_from or now, last_at=now, reading_from=now, reading_weight=weight
    )


def ended(exposure: Exposure, *, now: datetime, at_most: timedelta, limits: Limits) -> Exposure:
    """The case was put down at ``now``, or left lying: more than ``at_most`` was not spent on it."""
    if exposure.reading_from is None:
        return today(exposure, now=now, limits=limits)
    took = min(max(now - exposure.reading_from, LEAST), max(at_most, LEAST))
    if now == exposure.reading_from:  # a copy, decided in the same moment with what was read: nothing more was read
        took = _NOTHING
    last_at = min(now, exposure.reading_from + took)
    started_today = day_of(exposure.reading_from) == day_of(now)
    before = exposure.spent if exposure.day == day_of(now) else _NOTHING
    return replace(
        exposure,
        day=day_of(now),
        spent=before + (took * exposure.reading_weight if started_today else _NOTHING),
        last_at=last_at,
        reading_from=None,
        reading_weight=0.0,
    )


def break_due(exposure: Exposure, *, now: datetime, limits: Limits) -> Break | None:
    """Whether nothing more may be given out, and until when."""
    exposure = today(exposure, now=now, limits=limits)
    if exposure.spent >= limits.a_day:
        tomorrow = datetime.combine(exposure.day + timedelta(days=1), datetime.min.time(), tzinfo=now.tzinfo)
        return Break(tomorrow + DAY_STARTS, whole_day=True)
    if exposure.stretch_from is None or exposure.last_at is None:
        return None
    if exposure.last_at - exposure.stretch_from < limits.at_a_stretch:
        return None
    return Break(exposure.last_at + limits.pause, whole_day=False)
