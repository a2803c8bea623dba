"""What thresholds are made of, and how they get into the policy file."""

import pytest

from classifiers.calibrate import POLICY, rewritten
from classifiers.thresholds import HIGHEST, LOWEST, MIDDLE, reaching
from triage.domain import policy
from triage.domain.taxonomy import SCORED_CODES


@pytest.mark.parametrize("recall", [0.5, 0.8, 0.9])
def test_threshold_reaches_the_recall_and_not_much_more(recall: float) -> None:
    values = [0.2 + 0.004 * step for step in range(100)] + [0.0] * 50
    true = [True] * 100 + [False] * 50

    threshold = reaching(recall, values, true)

    found = sum(value >= threshold for value in values[:100]) / 100
    assert recall <= found <= recall + 0.04


def test_too_few_posts_leave_the_middle() -> None:
    assert reaching(0.9, [0.9, 0.1], [True, False]) == pytest.approx(MIDDLE)


def test_extreme_scores_do_not_make_extreme_thresholds() -> None:
    assert reaching(0.9, [0.99] * 20, [True] * 20) == pytest.approx(HIGHEST)
    assert reaching(0.9, [0.01] * 20, [True] * 20) == pytest.approx(LOWEST)


def test_new_thresholds_change_numbers_and_version_only() -> None:
    text = POLICY.read_text(encoding="utf-8")
    chosen = dict.fromkeys(SCORED_CODES, 0.33) | {"review": 0.44, "code_alone": 0.55, "urgent": 0.22}

    new = policy.parse(rewritten(text, chosen, "next"))

    assert (new.version, new.review_threshold, new.code_alone, new.urgent_threshold) == ("next", 0.44, 0.55, 0.22)
    assert {rule.propose for rule in new.codes.values()} == {0.33}
    before = policy.parse(text)
    assert {code: rule.tier for code, rule in new.codes.items()} == {code: r.tier for code, r in before.codes.items()}
    assert rewritten(text, chosen, "next").count("\n") == text.count("\n")
