"""Every rule of the code book that a decision must pass: it opens for what is right and shuts for what is not."""

from dataclasses import replace
from typing import Any

import pytest

from triage.domain import gates
from triage.domain.errors import GateClosed
from triage.domain.gates import Grounds, PossibleChild, PrimarySignal, Proposal, SecondarySignal
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, CONTEXTS, NO_VIOLATION, PROTECTED_CONTEXTS, Referable

GROUNDS = Grounds(
    recipient_id="a partner",
    statement_of_reasons="Names a time and a place.",
    causal_path="Those addressed are likely to go.",
    necessity="It is this afternoon.",
    least_intrusive="A label would come too late.",
    platform_policy_clause="Clause 2",
    possible_child=PossibleChild.NO,
)
SIGNALS: dict[str, Any] = {
    "primary_signals": (PrimarySignal.RETALIATION_LANGUAGE,),
    "secondary_signals": (SecondarySignal.TARGET_FEELS_THREATENED,),
    "secondary_source": "A support worker",
}
OTHER_OUTCOMES = [outcome for outcome in Outcome if outcome not in (Outcome.REFER, Outcome.NO_VIOLATION)]


def refer(codes: tuple[str, ...] = ("TTL",), contexts: tuple[str, ...] = (), **changes: Any) -> Proposal:
    return Proposal(Outcome.REFER, codes, contexts, "Because.", replace(GROUNDS, **changes))


def shut(proposal: Proposal) -> str | None:
    """The field that stands against a proposal."""
    with pytest.raises(GateClosed) as closed:
        gates.check(proposal)
    assert closed.value.status == 422
    return closed.value.field


def referable(*kinds: Referable) -> list[str]:
    return [code for code, meaning in CODES.items() if meaning.referable in kinds]


def test_good_referral_passes() -> None:
    gates.check(refer())


@pytest.mark.parametrize("codes", [(), ("NOPE",), ("TTL", "NOPE"), (NO_VIOLATION, "TTL")])
def test_codes_must_be_known_and_agree(codes: tuple[str, ...]) -> None:
    assert shut(refer(codes)) == "codes"


@pytest.mark.parametrize("codes", [("TTL",), ("OOS",), (NO_VIOLATION, "TTL")])
def test_no_violation_means_its_code_alone(codes: tuple[str, ...]) -> None:
    assert shut(Proposal(Outcome.NO_VIOLATION, codes, (), "")) == "codes"


def test_no_violation_needs_no_reasons_unless_it_overrides() -> None:
    gates.check(Proposal(Outcome.NO_VIOLATION, (NO_VIOLATION,), (), ""))

    assert shut(Proposal(Outcome.NO_VIOLATION, (NO_VIOLATION,), (), " ", None, True)) == "reasons"


@pytest.mark.parametrize("outcome", [*OTHER_OUTCOMES, Outcome.REFER])
def test_every_other_outcome_needs_reasons(outcome: Outcome) -> None:
    assert shut(Proposal(outcome, ("TTL",), (), " \n", GROUNDS)) == "reasons"


@pytest.mark.parametrize("outcome", OTHER_OUTCOMES)
def test_only_a_referral_needs_grounds(outcome: Outcome) -> None:
    gates.check(Proposal(outcome, ("TTL",), (), "Because."))


def test_referral_needs_grounds() -> None:
    assert shut(Proposal(Outcome.REFER, ("TTL",), (), "Because.")) == "grounds"


@pytest.mark.parametrize("code", referable(Referable.NO, Referable.SUPPORT_ONLY, Referable.NEVER_ALONE))
def test_dec_11_some_codes_alone_never_leave(code: str) -> None:
    assert shut(refer((code,), **SIGNALS)) == "outcome"


def test_dec_11_two_that_never_leave_do_not_leave_together() -> None:
    assert shut(refer(("VIC", "GPR"), **SIGNALS)) == "outcome"


@pytest.mark.parametrize(
    "code", referable(*set(Referable) - {Referable.NO, Referable.SUPPORT_ONLY, Referable.NEVER_ALONE})
)
def test_dec_11_other_codes_may_be_referred(code: str) -> None:
    gates.check(refer((code,), **SIGNALS))


@pytest.mark.parametrize("code", ["VIC", "GPR"])
def test_dec_11_they_may_stand_beside_one_that_leaves(code: str) -> None:
    gates.check(refer(("TTL", code)))


def test_ref_02_clause_or_law() -> None:
    assert shut(refer(platform_policy_clause=" ")) == "platform_policy_clause"
    gates.check(refer(platform_policy_clause="", legal_basis=("oapa-1861-s16",)))


@pytest.mark.parametrize("field", ["statement_of_reasons", "causal_path", "necessity", "least_intrusive"])
def test_ref_02_dec_07_every_ground_is_written_down(field: str) -> None:
    assert shut(refer(**{field: "  "})) == field


@pytest.mark.parametrize("child", [PossibleChild.YES, PossibleChild.UNKNOWN])
def test_possible_child_means_safeguarding_first(child: PossibleChild) -> None:
    assert shut(refer(possible_child=child)) == "safeguarding_considered"
    gates.check(refer(possible_child=child, safeguarding_considered=True))


def test_unknown_age_is_the_default() -> None:
    assert Grounds("r", "s", "c", "n", "l").possible_child is PossibleChild.UNKNOWN


@pytest.mark.parametrize("code", referable(Referable.BOTH_SIGNALS))
@pytest.mark.parametrize(
    ("missing", "field"),
    [
        ({"primary_signals": ()}, "primary_signals"),
        ({"secondary_signals": ()}, "secondary_signals"),
        ({"secondary_source": " "}, "secondary_signals"),
    ],
)
def test_dec_03_dec_04_veiled_threat_needs_both_signals_and_a_source(
    code: str, missing: dict[str, Any], field: str
) -> None:
    assert shut(refer((code,), **(SIGNALS | missing))) == field
    assert shut(refer(("TTL", code), **(SIGNALS | missing))) == field
    gates.check(refer((code,), **SIGNALS))


def test_dec_03_asks_only_of_veiled_threats() -> None:
    assert referable(Referable.BOTH_SIGNALS) == ["VTH"]
    gates.check(refer(("TTL",)))


@pytest.mark.parametrize("context", sorted(PROTECTED_CONTEXTS))
def test_dec_06_protected_context_needs_a_rebuttal(context: str) -> None:
    assert shut(refer(contexts=("banter", context), context_rebuttal=" ")) == "context_rebuttal"
    gates.check(refer(contexts=(context,), context_rebuttal="Names a present target."))


@pytest.mark.parametrize("context", sorted(set(CONTEXTS) - PROTECTED_CONTEXTS))
def test_dec_06_other_contexts_need_none(context: str) -> None:
    gates.check(refer(contexts=(context,)))


def test_dec_06_protects_art_news_counter_speech_and_grief() -> None:
    assert {"artistic", "news", "counter_speech", "grief"} <= PROTECTED_CONTEXTS


def test_grounds_can_be_stored_as_plain_data() -> None:
    stored = replace(GROUNDS, **SIGNALS).as_dict()

    assert stored["primary_signals"] == ("retaliation_language",)
    assert set(stored) == set(Grounds.__dataclass_fields__)
