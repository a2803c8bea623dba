"""The order of the queue and its reasons."""

from datetime import UTC, datetime, timedelta

import pytest

from triage.domain.priority import FIRST_LOOK, explain, in_words, place
from triage.domain.taxonomy import Tier

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_tier_comes_before_deadline_and_deadline_before_risk() -> None:
    urgent = place(Tier.P0, received_at=NOW, risk=0.1, report_count=1, now=NOW)
    older = place(Tier.P1, received_at=NOW - timedelta(minutes=30), risk=0.2, report_count=1, now=NOW)
    riskier = place(Tier.P1, received_at=NOW, risk=0.9, report_count=1, now=NOW)

    places = [riskier, older, urgent]
    assert sorted(places, key=lambda p: (p.band, p.deadline, -p.risk)) == [urgent, older, riskier]


@pytest.mark.parametrize(("tier", "band"), [("P0", 0), ("P1", 1), ("P2", 1), ("P3", 2), ("P4", 3)])
def test_case_past_its_deadline_moves_up_one_band(tier: str, band: int) -> None:
    received = NOW - FIRST_LOOK[Tier(tier)] - timedelta(hours=2)

    found = place(Tier(tier), received_at=received, risk=0.5, report_count=1, now=NOW)

    assert found.band == band
    assert found.timing == "Overdue by 2 hours"


def test_number_of_reports_is_said_and_changes_nothing() -> None:
    one = place(Tier.P2, received_at=NOW, risk=0.5, report_count=1, now=NOW)
    many = place(Tier.P2, received_at=NOW, risk=0.5, report_count=500, now=NOW)

    assert (one.band, one.deadline, one.risk) == (many.band, many.deadline, many.risk)
    assert "500 reports" in many.reasons[-1]


@pytest.mark.parametrize(("tier", "band"), [("P0", 0), ("P1", 1), ("P2", 1), ("P4", 1)])
def test_reporter_who_fears_for_a_life_moves_a_case_up_to_p1_and_no_further(tier: str, band: int) -> None:
    found = place(Tier(tier), received_at=NOW, risk=0.1, report_count=1, urgent_report=True, now=NOW)

    assert (found.band, found.deadline <= NOW + FIRST_LOOK[Tier.P1]) == (band, True)


def test_reasons_name_no_probability() -> None:
    found = place(Tier.P3, received_at=NOW, risk=0.37, report_count=9, urgent_report=True, now=NOW + timedelta(days=9))

    assert "%" not in " ".join(found.reasons)


def test_sum_names_every_part_and_why_the_band_is_another() -> None:
    now = NOW + timedelta(hours=9)
    late = place(Tier.P3, received_at=NOW, risk=0.37, report_count=9, urgent_report=True, now=now)

    steps = {step.name: step.words for step in explain(late, Tier.P3, received_at=NOW, report_count=9, now=now)}

    assert list(steps) == ["Tier", "Band", "Deadline", "Risk", "Age", "Reports", "Reporter's record"]
    assert steps["Band"].startswith("P1. A reporter believes that a life is in danger")
    assert (steps["Age"], "0.37" in str(steps), "37" in str(steps)) == (
        "Received 9 hours ago. Decides last",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "0 minutes"), (1, "1 minute"), (60, "1 hour"), (90, "90 minutes"), (200, "3 hours"), (4320, "3 days")],
)
def test_time_in_words(minutes: int, words: str) -> None:
    assert in_words(timedelta(minutes=minutes)) == words
