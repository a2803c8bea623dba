"""From scores to a proposal."""

import tomllib
from importlib.resources import files

import pytest

from tests.factories import NOT_ASSESSED, scores
from triage.domain import policy
from triage.domain.policy import CURRENT, assess
from triage.domain.taxonomy import CODES, SCORED_CODES, Tier

TEXT = files("triage.domain").joinpath("policy.toml").read_text(encoding="utf-8")


def test_every_scored_code_has_a_rule_and_a_page_in_the_code_book() -> None:
    assert set(CURRENT.codes) == set(SCORED_CODES)
    assert all(CODES[code].definition and CODES[code].exclude for code in SCORED_CODES)


def test_nothing_reached_is_not_flagged() -> None:
    found = assess(scores())

    assert (found.flagged, found.codes, found.tier, found.assessed) == (False, (), Tier.P4, True)


@pytest.mark.parametrize("code", [code for code in SCORED_CODES if code != "GPR"])
def test_each_code_alone_flags_when_it_is_likely(code: str) -> None:
    alone = CURRENT.code_alone

    at, below = assess(scores(**{code: alone})), assess(scores(**{code: alone - 0.001}))

    assert (at.flagged, at.codes, at.tier) == (True, (code,), CURRENT.codes[code].tier)
    assert (below.flagged, below.codes) == (False, ())


@pytest.mark.parametrize("code", SCORED_CODES)
def test_flagged_post_gets_each_code_at_its_own_threshold(code: str) -> None:
    threshold = CURRENT.codes[code].propose

    at, below = (assess(scores(review=0.9, **{code: value})) for value in (threshold, threshold - 0.001))

    assert (at.codes, below.codes) == ((code,), ())


def test_group_promotion_alone_never_flags() -> None:
    found = assess(scores(GPR=1.0))

    assert (found.flagged, found.codes, found.tier) == (False, ("GPR",), Tier.P4)


def test_post_worth_a_look_as_a_whole_is_flagged_without_a_code() -> None:
    found = assess(scores(review=CURRENT.review_threshold))

    assert (found.flagged, found.codes, found.tier) == (True, (), CURRENT.no_code_tier)


def test_urgent_makes_p0_only_with_a_code_that_can_be() -> None:
    assert assess(scores(review=0.9, urgent=1.0, TTL=0.9)).tier is Tier.P0
    assert assess(scores(review=0.9, urgent=1.0, SUP=0.9)).tier is not Tier.P0


def test_supply_with_a_threat_is_more_urgent_than_supply() -> None:
    alone, with_weapon = assess(scores(SUP=0.9)), assess(scores(SUP=0.9, WDISP=0.9))

    assert (alone.tier, with_weapon.tier) == (Tier.P3, Tier.P2)


def test_most_urgent_code_sets_the_tier_and_stands_first() -> None:
    found = assess(scores(SUP=0.99, TTL=0.8))

    assert (found.codes, found.tier) == (("TTL", "SUP"), Tier.P1)


def test_protected_context_is_a_reason_and_not_an_excuse() -> None:
    found = assess(scores(review=0.9, TTL=0.9, contexts={"artistic": 0.8}))

    assert found.flagged
    assert found.reasons[-1] == "Reads as artistic: lyrics, poetry, performance: 80%, by default no referral"


def test_not_assessed_goes_to_a_person() -> None:
    found = assess(NOT_ASSESSED)

    assert (found.flagged, found.assessed, found.tier) == (True, False, CURRENT.not_assessed_tier)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[codes]", "[codes]\nXYZ = { propose = 0.5, tier = 'P1' }", "unknown code XYZ"),
        ("[flag]\nreview = ", "[flag]\nreview = 7", "flag.review is 7"),
        ("code_alone = 0.", "code_alone = 0.0", "code_alone is below the threshold of TTL"),
    ],
)
def test_wrong_policy_file_is_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        policy.parse(TEXT.replace(old, new))


def test_policy_file_without_a_rule_is_refused() -> None:
    without = "\n".join(line for line in TEXT.splitlines() if not line.startswith("TTL = "))
    assert "TTL" not in tomllib.loads(without)["codes"]

    with pytest.raises(ValueError, match="no rule for TTL"):
        policy.parse(without)
