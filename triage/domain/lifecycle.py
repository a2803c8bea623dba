"""The life of a case: events in, state out, one pure function.

The case row is a cache of this fold. ``triage doctor`` folds every case's events again and compares.

    waiting ──assessed──▶ open ──decided──▶ decided
       │                   ▲  └─refer──▶ awaiting_approval ──approved──▶ decided
       └─(no text yet)     └──────────rejected, reopened──────┘  (refused: decided, without an outcome)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from triage.domain.errors import IllegalTransition
from triage.domain.taxonomy import Tier


class CaseStatus(StrEnum):
    """Where a case stands."""

    WAITING = "waiting"
    OPEN = "open"
    AWAITING_APPROVAL = "awaiting_approval"
    DECIDED = "decided"


class Outcome(StrEnum):
    """What a person can decide. All of equal prominence."""

    NO_VIOLATION = "no_violation"
    REFER = "refer"
    SAFEGUARD = "safeguard"
    ESCALATE = "escalate"
    SECOND_OPINION = "second_opinion"
    ROUTE_OUT = "route_out"
    RETURN = "return"


class CaseEvent(StrEnum):
    """Event kinds that move a case. Others (consultation, search) are logged but change nothing."""

    REPORTED = "case.reported"
    ASSESSED = "case.assessed"
    CLAIMED = "case.claimed"
    RELEASED = "case.released"
    JUDGED = "case.judged"
    DECIDED = "case.decided"
    REFERRAL_APPROVED = "referral.approved"
    REFERRAL_REJECTED = "referral.rejected"
    REFERRAL_REFUSED = "referral.refused"
    REFERRAL_RECALLED = "referral.recalled"
    REOPENED = "case.reopened"
    HELD = "case.held"
    RESUMED = "case.resumed"
    ASSIGNED = "case.assigned"
    ESCALATED = "case.escalated"
    ANSWERED = "case.answered"


#: What people do with an open case that changes who reads it and when, and nothing of what it is.
_HANDLING = frozenset(
    {
        CaseEvent.CLAIMED,
        CaseEvent.RELEASED,
        CaseEvent.JUDGED,
        CaseEvent.HELD,
        CaseEvent.RESUMED,
        CaseEvent.ASSIGNED,
        CaseEvent.ESCALATED,
        CaseEvent.ANSWERED,
    }
)


@dataclass(frozen=True, slots=True)
class CaseState:
    """What is true of a case now. ``outcome`` stays until the case is opened again."""

    status: CaseStatus = CaseStatus.WAITING
    tier: Tier | None = None
    assessed: bool | None = None
    outcome: Outcome | None = None
    report_count: int = 0


_ALLOWED: Mapping[CaseEvent, frozenset[CaseStatus]] = {
    CaseEvent.REPORTED: frozenset(CaseStatus),
    # A decided case may be scored again by a newer pipeline; that changes no decision.
    CaseEvent.ASSESSED: frozenset(CaseStatus),
    **dict.fromkeys(_HANDLING, frozenset({CaseStatus.OPEN})),
    CaseEvent.DECIDED: frozenset({CaseStatus.OPEN}),
    CaseEvent.REFERRAL_APPROVED: frozenset({CaseStatus.AWAITING_APPROVAL}),
    CaseEvent.REFERRAL_REJECTED: frozenset({CaseStatus.AWAITING_APPROVAL}),
    CaseEvent.REFERRAL_REFUSED: frozenset({CaseStatus.AWAITING_APPROVAL}),
    CaseEvent.REFERRAL_RECALLED: frozenset({CaseStatus.DECIDED}),
    CaseEvent.REOPENED: frozenset({CaseStatus.DECIDED}),
}


def apply(state: CaseState, kind: CaseEvent, data: Mapping[str, Any]) -> CaseState:
    """The state after one event.

    Raises:
        IllegalTransition: the event cannot happen in this state.
    """
    if state.status not in _ALLOWED[kind]:
        raise IllegalTransition(f"{kind} cannot happen to a case that is {state.status}")
    match kind:
        case CaseEvent.REPORTED:
            return replace(state, report_count=state.report_count + 1)
        case CaseEvent.ASSESSED:
            status = CaseStatus.OPEN if state.status is CaseStatus.WAITING else state.status
            return replace(state, status=status, tier=Tier(data["tier"]), assessed=bool(data["assessed"]))
        case CaseEvent.DECIDED:
            return _decided(state, Outcome(data["outcome"]))
        case CaseEvent.REFERRAL_APPROVED:
            return replace(state, status=CaseStatus.DECIDED)
        case CaseEvent.REFERRAL_REFUSED:  # nothing leaves, and nobody found that there was no violation
            return replace(state, status=CaseStatus.DECIDED, outcome=None)
        case CaseEvent.REFERRAL_REJECTED | CaseEvent.REOPENED:
            return replace(state, status=CaseStatus.OPEN, outcome=None)
        case _:  # handling, and a recall: who reads it, what left; not what it is
            return state


def _decided(state: CaseState, outcome: Outcome) -> CaseState:
    if outcome is Outcome.SECOND_OPINION:
        return replace(state, outcome=None)  # stays open, for somebody else
    status = CaseStatus.AWAITING_APPROVAL if outcome is Outcome.REFER else CaseStatus.DECIDED
    return replace(state, status=status, outcome=outcome)


def fold(events: Iterable[tuple[CaseEvent, Mapping[str, Any]]]) -> CaseState:
    """The state after all of a case's events, in order."""
    state = CaseState()
    for kind, data in events:
        state = apply(state, kind, data)
    return state
