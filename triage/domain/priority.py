"""The order of the queue, with its reasons.

A case is ordered by band, then deadline, then risk, then arrival. The band is its tier, lifted by one
when the case has waited past its deadline, so that a quiet tier never starves behind a busy one, and
lifted to P1 when a reporter believes that a life is in danger. Nothing is lifted into P0: that is for what
the post says, not for lateness or for one person's word.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from triage.domain.taxonomy import Tier

#: Time to the first human look, by tier. Proposed targets, to be agreed with the operator (docs/concepts.md).
FIRST_LOOK = {
    Tier.P0: timedelta(minutes=15),
    Tier.P1: timedelta(hours=1),
    Tier.P2: timedelta(hours=8),
    Tier.P3: timedelta(hours=72),
    Tier.P4: timedelta(days=7),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A case's place in the queue. Lower ``band`` first, then earlier ``deadline``, then higher ``risk``.

    ``reasons`` name no probability: a reader sees them before judging. ``timing`` says when it is due.
    """

    band: int
    deadline: datetime
    risk: float
    timing: str
    reasons: tuple[str, ...]
    #: Those of the reasons that put it into another band than its tier's.
    lifted: tuple[str, ...] = ()


def place(
    tier: Tier, *, received_at: datetime, risk: float, report_count: int, now: datetime, urgent_report: bool = False
) -> Place:
    """Work out a case's place. ``received_at`` is when the first report was accepted (aware UTC)."""
    standing = min(tier, Tier.P1) if urgent_report else tier
    deadline = received_at + FIRST_LOOK[standing]
    late = now > deadline
    band = max(1, standing.level - 1) if late and standing.level > 0 else standing.level
    reasons = [f"{tier}: first look within {in_words(FIRST_LOOK[tier])}"]
    lifted = []
    if standing is not tier:
        lifted.append(
            f"A reporter believes that a life is in danger: first look within {in_words(FIRST_LOOK[standing])}"
        )
    if band < standing.level:
        lifted.append(f"Waited too long, so moved up to the P{band} band")
    reasons += lifted
    if report_count > 1:
        reasons.append(f"{report_count} reports (a weak sign: the number of reports never raises the tier)")
    timing = f"Overdue by {in_words(now - deadline)}" if late else f"Due in {in_words(deadline - now)}"
    return Place(band=band, deadline=deadline, risk=risk, timing=timing, reasons=tuple(reasons), lifted=tuple(lifted))


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the sum that puts a case where it stands, in words."""

    name: str
    words: str


def explain(where: Place, tier: Tier, *, received_at: datetime, report_count: int, now: datetime) -> tuple[Step, ...]:
    """The whole sum, in the order in which its parts count. No probability: a reader sees it before judging."""
    reports = "1 report" if report_count == 1 else f"{report_count} reports"
    return (
        Step("Tier", f"{tier}, which wants a first look within {in_words(FIRST_LOOK[tier])}"),
        Step("Band", _band_in_words(where, tier)),
        Step("Deadline", f"{where.deadline:%-d %b, %H:%M} UTC. {where.timing}. Within a band the earliest goes first"),
        Step(
            "Risk", "Decides between cases due at the same moment. The machine's figure is shown after your judgement"
        ),
        Step("Age", f"Received {in_words(now - received_at)} ago. Decides last"),
        Step("Reports", f"{reports}. Never counts: people also report to silence"),
        Step("Reporter's record", "Never counts. Shown with the reports, to be weighed by you"),
    )


def _band_in_words(where: Place, tier: Tier) -> str:
    if where.band == tier.level:
        return f"P{where.band}, as its tier"
    return f"P{where.band}. {'. '.join(where.lifted)}"


def in_words(span: timedelta) -> str:
    """A length of time as a person would say it: '15 minutes', '3 hours', '7 days'."""
    minutes = max(0, int(span.total_seconds() // 60))
    for size, unit in ((1440, "day"), (60, "hour")):
        if minutes >= 2 * size or (minutes >= size and minutes % size == 0):
            count = minutes // size
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{minutes} minute{'s' if minutes != 1 else ''}"
