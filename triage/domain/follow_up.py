"""What has to happen outside after a decision, and what must be recorded before it is done with.

A safeguarding lead passes a case on to those who can help; a threat to life is phoned through; something serious
of another owner is handed over. The service calls nobody: it keeps the list of what people did, and refuses to
close what was not done.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from triage.domain.errors import GateClosed
from triage.domain.gates import PossibleChild
from triage.domain.lifecycle import Outcome
from triage.domain.priority import FIRST_LOOK
from triage.domain.taxonomy import Tier


class FollowUpKind(StrEnum):
    """Which decision it follows."""

    SAFEGUARD = "safeguard"
    LIFE_THREAT = "life_threat"
    ROUTE_OUT = "route_out"


class StepKind(StrEnum):
    """One thing somebody did."""

    CONTROL_ROOM_PHONED = "control_room_phoned"
    EVIDENCE_GIVEN = "evidence_given"
    SUPERVISOR_TOLD = "supervisor_told"
    FOLLOWED_UP = "followed_up"
    REFERRED = "referred"
    ANSWERED = "answered"
    SUPPORT_GIVEN = "support_given"
    HANDED_OVER = "handed_over"
    NOTE = "note"


class Ending(StrEnum):
    """How a follow-up ended."""

    DONE = "done"
    NO_FURTHER_ACTION = "no_further_action"
    HANDED_BACK = "handed_back"


OPENED_BY: Mapping[Outcome, FollowUpKind] = MappingProxyType(
    {
        Outcome.SAFEGUARD: FollowUpKind.SAFEGUARD,
        Outcome.ESCALATE: FollowUpKind.LIFE_THREAT,
        Outcome.ROUTE_OUT: FollowUpKind.ROUTE_OUT,
    }
)
#: What may be recorded for each kind, in the order in which it is usually done.
STEPS: Mapping[FollowUpKind, tuple[StepKind, ...]] = MappingProxyType(
    {
        FollowUpKind.LIFE_THREAT: (
            StepKind.CONTROL_ROOM_PHONED,
            StepKind.EVIDENCE_GIVEN,
            StepKind.SUPERVISOR_TOLD,
            StepKind.FOLLOWED_UP,
            StepKind.NOTE,
        ),
        FollowUpKind.SAFEGUARD: (StepKind.REFERRED, StepKind.ANSWERED, StepKind.SUPPORT_GIVEN, StepKind.NOTE),
        FollowUpKind.ROUTE_OUT: (StepKind.HANDED_OVER, StepKind.NOTE),
    }
)
#: Steps without which it cannot end as done. The database refuses it too (migration 0007).
NEEDED: Mapping[FollowUpKind, tuple[StepKind, ...]] = MappingProxyType(
    {
        FollowUpKind.LIFE_THREAT: (
            StepKind.CONTROL_ROOM_PHONED,
            StepKind.EVIDENCE_GIVEN,
            StepKind.SUPERVISOR_TOLD,
            StepKind.FOLLOWED_UP,
        ),
        FollowUpKind.SAFEGUARD: (StepKind.REFERRED,),
        FollowUpKind.ROUTE_OUT: (StepKind.HANDED_OVER,),
    }
)
#: A threat to life cannot be talked away, nor put back unphoned.
ENDINGS: Mapping[FollowUpKind, tuple[Ending, ...]] = MappingProxyType(
    {
        FollowUpKind.LIFE_THREAT: (Ending.DONE,),
        FollowUpKind.SAFEGUARD: (Ending.DONE, Ending.NO_FURTHER_ACTION, Ending.HANDED_BACK),
        FollowUpKind.ROUTE_OUT: (Ending.DONE, Ending.HANDED_BACK),
    }
)
#: Until when the control room has to be phoned, and a day later somebody asks what came of it.
CALL_WITHIN = timedelta(minutes=15)
FOLLOW_UP_AFTER = timedelta(hours=24)
#: A possible child is seen to within an hour, whatever the tier.
CHILD_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """When a new follow-up is due, and its place: 0 a life, 1 a child, 2 anybody else."""

    at: datetime
    band: int


def due(kind: FollowUpKind, tier: Tier, possible_child: PossibleChild, *, now: datetime, case_due: datetime) -> Due:
    """DEC-10: what is another owner's keeps the clock of the case. Safeguarding starts one of its own."""
    if kind is FollowUpKind.LIFE_THREAT:
        return Due(now + CALL_WITHIN, 0)
    if kind is FollowUpKind.ROUTE_OUT:
        return Due(case_due, 0 if tier is Tier.P0 else 2)
    child = possible_child is PossibleChild.YES
    within = min(FIRST_LOOK[tier], CHILD_WITHIN) if child else FIRST_LOOK[tier]
    return Due(now + within, 0 if tier is Tier.P0 else 1 if child else 2)


def check_ending(kind: FollowUpKind, ending: Ending, done: Collection[StepKind], reasons: str) -> None:
    """Raises GateClosed when something has not been done yet, or the reasons are missing."""
    if ending not in ENDINGS[kind]:
        raise GateClosed("It cannot end like this: do the steps, and record them", field="ending")
    if ending is Ending.DONE:
        if missing := [step for step in NEEDED[kind] if step not in done]:
            raise GateClosed(f"Not recorded yet: {', '.join(step.replace('_', ' ') for step in missing)}", field="kind")
    elif not reasons.strip():
        raise GateClosed("Write why: this ending needs reasons", field="reasons")
