"""The life of a case: every pair of state and event."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.domain import lifecycle
from triage.domain.errors import IllegalTransition
from triage.domain.lifecycle import CaseEvent, CaseState, CaseStatus, Outcome
from triage.domain.taxonomy import Tier

DATA: dict[CaseEvent, dict[str, Any]] = {
    CaseEvent.ASSESSED: {"tier": "P1", "assessed": True},
    CaseEvent.DECIDED: {"outcome": "no_violation"},
}
WAITING, OPEN, APPROVAL, DECIDED = CaseStatus.WAITING, CaseStatus.OPEN, CaseStatus.AWAITING_APPROVAL, CaseStatus.DECIDED
#: From which status an event may happen, and where it leads.
TABLE: dict[CaseEvent, dict[CaseStatus, CaseStatus]] = {
    CaseEvent.REPORTED: {WAITING: WAITING, OPEN: OPEN, APPROVAL: APPROVAL, DECIDED: DECIDED},
    CaseEvent.ASSESSED: {WAITING: OPEN, OPEN: OPEN, APPROVAL: APPROVAL, DECIDED: DECIDED},
    CaseEvent.CLAIMED: {OPEN: OPEN},
    CaseEvent.RELEASED: {OPEN: OPEN},
    CaseEvent.JUDGED: {OPEN: OPEN},
    CaseEvent.DECIDED: {OPEN: DECIDED},
    CaseEvent.REFERRAL_APPROVED: {APPROVAL: DECIDED},
    CaseEvent.REFERRAL_REJECTED: {APPROVAL: OPEN},
    CaseEvent.REFERRAL_REFUSED: {APPROVAL: DECIDED},
    CaseEvent.REFERRAL_RECALLED: {DECIDED: DECIDED},
    CaseEvent.REOPENED: {DECIDED: OPEN},
    CaseEvent.HELD: {OPEN: OPEN},
    CaseEvent.RESUMED: {OPEN: OPEN},
    CaseEvent.ASSIGNED: {OPEN: OPEN},
    CaseEvent.ESCALATED: {OPEN: OPEN},
    CaseEvent.ANSWERED: {OPEN: OPEN},
}


@pytest.mark.parametrize("status", CaseStatus)
@pytest.mark.parametrize("kind", CaseEvent)
def test_every_pair_of_state_and_event(status: CaseStatus, kind: CaseEvent) -> None:
    state = CaseState(status=status, tier=Tier.P2, assessed=True)
    leads_to = TABLE[kind].get(status)

    if leads_to is None:
        with pytest.raises(IllegalTransition):
            lifecycle.apply(state, kind, DATA.get(kind, {}))
    else:
        assert lifecycle.apply(state, kind, DATA.get(kind, {})).status is leads_to


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.REFER, APPROVAL),
        (Outcome.SECOND_OPINION, OPEN),
        (Outcome.SAFEGUARD, DECIDED),
        (Outcome.ROUTE_OUT, DECIDED),
    ],
)
def test_outcome_leads_to(outcome: Outcome, status: CaseStatus) -> None:
    state = CaseState(status=OPEN, tier=Tier.P2, assessed=True)

    assert lifecycle.apply(state, CaseEvent.DECIDED, {"outcome": outcome}).status is status


@given(st.lists(st.sampled_from(list(CaseEvent)), max_size=30))
def test_no_sequence_of_events_loses_a_case(kinds: list[CaseEvent]) -> None:
    state = CaseState()
    for kind in kinds:
        try:
            state = lifecycle.apply(state, kind, DATA.get(kind, {}))
        except IllegalTransition:
            continue
    assert state.status in CaseStatus
    assert state.report_count == kinds.count(CaseEvent.REPORTED)
    assert state.status is WAITING or state.tier is not None
