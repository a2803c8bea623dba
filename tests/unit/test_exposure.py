"""Exposure counts by what was read, and a break comes when it is due."""

from datetime import UTC, datetime, timedelta

import pytest

from triage.domain import exposure
from triage.domain.exposure import Exposure, Limits
from triage.domain.taxonomy import Tier

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMITS = Limits(a_day=240 * MINUTE, at_a_stretch=90 * MINUTE, pause=10 * MINUTE)


def read(state: Exposure, *, start: datetime, minutes: float, weight: float = 1.0) -> Exposure:
    state = exposure.begun(state, weight=weight, now=start, limits=LIMITS)
    return exposure.ended(state, now=start + minutes * MINUTE, at_most=20 * MINUTE, limits=LIMITS)


def fresh() -> Exposure:
    return Exposure(exposure.day_of(NOW))


@pytest.mark.parametrize(
    ("tier", "assessed", "counts"),
    [(Tier.P0, True, 10), (Tier.P1, True, 10), (Tier.P2, True, 5), (Tier.P4, True, 2.5), (Tier.P2, False, 10)],
)
def test_time_counts_by_what_was_read(tier: Tier, assessed: bool, counts: float) -> None:
    state = read(fresh(), start=NOW, minutes=10, weight=exposure.weight(tier, assessed=assessed))

    assert state.spent == counts * MINUTE


def test_hurrying_makes_no_room() -> None:
    assert read(fresh(), start=NOW, minutes=0.05).spent == MINUTE


def test_copy_decided_together_counts_nothing() -> None:
    assert read(fresh(), start=NOW, minutes=0).spent == timedelta(0)


def test_case_left_lying_counts_its_lease_only() -> None:
    assert read(fresh(), start=NOW, minutes=300).spent == 20 * MINUTE


def test_break_comes_after_a_stretch_and_ends() -> None:
    state = fresh()
    for number in range(9):
        state = read(state, start=NOW + number * 10 * MINUTE, minutes=10, weight=0.25)
    last = NOW + 90 * MINUTE

    due = exposure.break_due(state, now=last, limits=LIMITS)

    assert due == exposure.Break(last + 10 * MINUTE, whole_day=False)
    assert exposure.break_due(state, now=last + 10 * MINUTE, limits=LIMITS) is None


def test_pause_of_ones_own_ends_the_stretch() -> None:
    state = read(fresh(), start=NOW, minutes=20)
    state = read(state, start=NOW + 30 * MINUTE, minutes=20)

    assert state.stretch_from == NOW + 30 * MINUTE


def test_day_is_used_up_until_the_next_one() -> None:
    state = fresh()
    for number in range(12):
        state = read(state, start=NOW + number * 30 * MINUTE, minutes=20)
    later = NOW + 12 * 30 * MINUTE
    morning = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)

    assert exposure.break_due(state, now=later, limits=LIMITS) == exposure.Break(morning, whole_day=True)
    assert exposure.break_due(state, now=morning - MINUTE, limits=LIMITS) is not None
    assert exposure.break_due(state, now=morning, limits=LIMITS) is None


def test_night_shift_is_one_day() -> None:
    assert exposure.day_of(NOW.replace(hour=23)) == exposure.day_of(NOW.replace(day=24, hour=3))
