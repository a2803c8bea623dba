"""Every rule of the code book that a decision must pass: it opens for what is right and shuts for what is not."""

from dataclasses import fields, replace
from datetime import date
from typing import Any

import pytest

from triage.domain import gates
from triage.domain.errors import GateClosed
from triage.domain.gates import (
    Grounds,
    Likelihood,
    NeedsSecondPerson,
    PastEvent,
    PossibleChild,
    PrimarySignal,
    Proposal,
    SecondarySignal,
    SourceKind,
    Tag,
)
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, CONTEXTS, NO_VIOLATION, PROTECTED_CONTEXTS, Referable

TODAY = date(2026, 11, 22)
GROUNDS = Grounds(
    recipient_id="a partner",
    statement_of_reasons="Names a time and a place.",
    causal_path="Those addressed are likely to go.",
    necessity="It is this afternoon.",
    least_intrusive="A label would come too late.",
    platform_policy_clause="Clause 2",
    possible_child=PossibleChild.NO,
    facts="The words name a stop and half past three.",
    proportionality="One post is named.",
    likelihood=Likelihood.LIKELY,
)
SIGNALS: dict[str, Any] = {
    "primary_signals": (PrimarySignal.RETALIATION_LANGUAGE,),
    "secondary_signals": (SecondarySignal.TARGET_FEELS_THREATENED,),
    "secondary_source": "A support worker",
    "secondary_sources": (SourceKind.TARGET,),
}
OTHER_OUTCOMES = [outcome for outcome in Outcome if outcome not in (Outcome.REFER, Outcome.NO_VIOLATION)]


def refer(codes: tuple[str, ...] = ("TTL",), contexts: tuple[str, ...] = (), **changes: Any) -> Proposal:
    return Proposal(Outcome.REFER, codes, contexts, "Because.", replace(GROUNDS, **changes))


def check(proposal: Proposal, **how: int) -> None:
    gates.check(proposal, on=TODAY, **how)


def shut(proposal: Proposal) -> str | None:
    """The field that stands against a proposal."""
    with pytest.raises(GateClosed) as closed:
        check(proposal)
    assert closed.value.status == 422
    return closed.value.field


def referable(*kinds: Referable) -> list[str]:
    return [code for code, meaning in CODES.items() if meaning.referable in kinds]


def test_good_referral_passes() -> None:
    check(refer())


@pytest.mark.parametrize("codes", [(), ("NOPE",), ("TTL", "NOPE"), (NO_VIOLATION, "TTL")])
def test_codes_must_be_known_and_agree(codes: tuple[str, ...]) -> None:
    assert shut(refer(codes)) == "codes"


@pytest.mark.parametrize("codes", [("TTL",), ("OOS",), (NO_VIOLATION, "TTL")])
def test_no_violation_means_its_code_alone(codes: tuple[str, ...]) -> None:
    assert shut(Proposal(Outcome.NO_VIOLATION, codes, (), "")) == "codes"


def test_no_violation_needs_no_reasons_unless_it_overrides() -> None:
    check(Proposal(Outcome.NO_VIOLATION, (NO_VIOLATION,), (), ""))

    assert shut(Proposal(Outcome.NO_VIOLATION, (NO_VIOLATION,), (), " ", None, True)) == "reasons"


@pytest.mark.parametrize("outcome", [*OTHER_OUTCOMES, Outcome.REFER])
def test_every_other_outcome_needs_reasons(outcome: Outcome) -> None:
    assert shut(Proposal(outcome, ("TTL",), (), " \n", GROUNDS)) == "reasons"


@pytest.mark.parametrize("outcome", OTHER_OUTCOMES)
def test_only_a_referral_needs_grounds(outcome: Outcome) -> None:
    check(Proposal(outcome, ("TTL",), (), "Because."))


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
    check(refer((code,), **SIGNALS))


@pytest.mark.parametrize("code", ["VIC", "GPR"])
def test_dec_11_they_may_stand_beside_one_that_leaves(code: str) -> None:
    check(refer(("TTL", code)))


def test_ref_02_clause_or_law() -> None:
    assert shut(refer(platform_policy_clause=" ")) == "platform_policy_clause"
    check(refer(platform_policy_clause="", legal_basis=("oapa-1861-s16",)))


@pytest.mark.parametrize(
    "field", ["facts", "statement_of_reasons", "causal_path", "necessity", "proportionality", "least_intrusive"]
)
def test_ref_02_dec_07_every_ground_is_written_down(field: str) -> None:
    assert shut(refer(**{field: "  "})) == field


@pytest.mark.parametrize("child", [PossibleChild.YES, PossibleChild.UNKNOWN])
def test_possible_child_means_safeguarding_first(child: PossibleChild) -> None:
    considered = {"possible_child": child, "safeguarding_considered": True}

    assert shut(refer(possible_child=child)) == "safeguarding_considered"
    assert shut(refer(**considered, safeguarding_note=" ")) == "safeguarding_note"
    check(refer(**considered, safeguarding_note="The school's lead was told; no other concern."))


def test_possible_child_comes_before_every_other_ground() -> None:
    assert shut(refer(possible_child=PossibleChild.YES, facts="", platform_policy_clause="")) == (
        "safeguarding_considered"
    )


def test_unknown_age_is_the_default() -> None:
    assert Grounds("r", "s", "c", "n", "l").possible_child is PossibleChild.UNKNOWN


@pytest.mark.parametrize("code", referable(Referable.BOTH_SIGNALS))
@pytest.mark.parametrize(
    ("missing", "field"),
    [
        ({"primary_signals": ()}, "primary_signals"),
        ({"secondary_signals": ()}, "secondary_signals"),
        ({"secondary_source": " "}, "secondary_signals"),
        ({"secondary_sources": ()}, "secondary_sources"),
        ({"secondary_sources": (SourceKind.SUBMITTER,)}, "secondary_sources"),
        ({"secondary_sources": (SourceKind.SUBMITTER, SourceKind.POLICE_ASSERTION)}, "secondary_sources"),
    ],
)
def test_dec_03_dec_04_veiled_threat_needs_both_signals_and_a_source(
    code: str, missing: dict[str, Any], field: str
) -> None:
    assert shut(refer((code,), **(SIGNALS | missing))) == field
    assert shut(refer(("TTL", code), **(SIGNALS | missing))) == field
    check(refer((code,), **SIGNALS))


@pytest.mark.parametrize("said_too", [SourceKind.SUBMITTER, SourceKind.POLICE_ASSERTION])
def test_dec_04_an_assertion_beside_an_independent_source_does_no_harm(said_too: SourceKind) -> None:
    check(refer(("VTH",), **(SIGNALS | {"secondary_sources": (said_too, SourceKind.SCHOOL)})))


@pytest.mark.parametrize("month", ["2025-10", "2021-01"])
def test_dec_05_an_old_event_needs_more_than_the_reference_to_it(month: str) -> None:
    dated = {"past_event": PastEvent.DATED, "past_event_month": month}

    assert shut(refer(**dated)) == "past_event_evidence"
    check(refer(**dated, past_event_evidence="The target reported new messages last week."))


def test_dec_05_not_known_when_counts_as_long_ago() -> None:
    assert shut(refer(past_event=PastEvent.UNDATED)) == "past_event_evidence"


@pytest.mark.parametrize("month", ["2025-11", "2026-11"])
def test_dec_05_a_recent_event_stands(month: str) -> None:
    check(refer(past_event=PastEvent.DATED, past_event_month=month))


def test_dec_05_the_setting_makes_it_stricter() -> None:
    recent = refer(past_event=PastEvent.DATED, past_event_month="2026-06")

    check(recent, old_event_months=5)
    with pytest.raises(GateClosed, match="more than 4 months"):
        check(recent, old_event_months=4)


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "March 2026", "2026-12", "26-03"])
def test_dec_05_a_dated_event_has_a_month_that_has_come(month: str) -> None:
    assert shut(refer(past_event=PastEvent.DATED, past_event_month=month)) == "past_event_month"


def test_dec_05_a_past_incident_as_a_signal_says_when() -> None:
    signals = SIGNALS | {"primary_signals": (PrimarySignal.PAST_VIOLENT_INCIDENT,)}

    assert shut(refer(("VTH",), **signals)) == "past_event"
    check(refer(("VTH",), **signals, past_event=PastEvent.DATED, past_event_month="2026-09"))


@pytest.mark.parametrize("likelihood", set(Likelihood) - gates.LIKELY_ENOUGH)
def test_dec_07_below_likely_nothing_is_referred(likelihood: Likelihood) -> None:
    assert shut(refer(likelihood=likelihood)) == "likelihood"


def test_dec_07_threshold_is_likely() -> None:
    assert sorted(gates.LIKELY_ENOUGH) == ["almost_certain", "highly_likely", "likely"]


def test_dec_02_every_statement_of_the_grounds_has_its_tag() -> None:
    """A new text field without a tag fails here."""
    not_statements = {"recipient_id", "platform_policy_clause", "past_event_month"}
    texts = {field.name for field in fields(Grounds) if field.type is str} - not_statements

    assert set(gates.STATEMENTS) == texts
    assert gates.STATEMENTS["facts"] is Tag.FACT
    assert gates.STATEMENTS["statement_of_reasons"] is Tag.ASSESSMENT


@pytest.mark.parametrize(
    ("codes", "contexts", "child", "why"),
    [
        (("TTL",), (), PossibleChild.NO, []),
        (("TTL",), ("sport",), PossibleChild.NO, []),
        (("TTL",), ("artistic",), PossibleChild.NO, [NeedsSecondPerson.PROTECTED_CONTEXT]),
        (("TTL",), (), PossibleChild.YES, [NeedsSecondPerson.POSSIBLE_CHILD]),
        (("TTL",), (), PossibleChild.UNKNOWN, [NeedsSecondPerson.POSSIBLE_CHILD]),
        (("VTH",), ("grief",), PossibleChild.YES, list(NeedsSecondPerson)),
    ],
)
def test_who_needs_a_second_person(
    codes: tuple[str, ...], contexts: tuple[str, ...], child: PossibleChild, why: list[NeedsSecondPerson]
) -> None:
    assert sorted(gates.second_person(codes, contexts, child)) == sorted(why)


def test_dec_03_asks_only_of_veiled_threats() -> None:
    assert referable(Referable.BOTH_SIGNALS) == ["VTH"]
    check(refer(("TTL",)))


@pytest.mark.parametrize("context", sorted(PROTECTED_CONTEXTS))
def test_dec_06_protected_context_needs_a_rebuttal(context: str) -> None:
    assert shut(refer(contexts=("banter", context), context_rebuttal=" ")) == "context_rebuttal"
    check(refer(contexts=(context,), context_rebuttal="Names a present target."))


@pytest.mark.parametrize("context", sorted(set(CONTEXTS) - PROTECTED_CONTEXTS))
def test_dec_06_other_contexts_need_none(context: str) -> None:
    check(refer(contexts=(context,)))


def test_dec_06_protects_art_news_counter_speech_and_grief() -> None:
    assert {"artistic", "news", "counter_speech", "grief"} <= PROTECTED_CONTEXTS


def test_grounds_can_be_stored_as_plain_data() -> None:
    stored = replace(GROUNDS, **SIGNALS).as_dict()

    assert stored["primary_signals"] == ("retaliation_language",)
    assert set(stored) == set(Grounds.__dataclass_fields__)
