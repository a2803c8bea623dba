"""What the suggested thresholds are made of."""

import pytest

from classifiers.thresholds import MIDDLE, best_f1


def test_threshold_parts_the_posts() -> None:
    values = [0.9, 0.85, 0.8, 0.75, 0.7, 0.7, 0.65, 0.65] + [0.3] * 20

    assert 0.3 < best_f1(values, [value > 0.5 for value in values]) <= 0.65


def test_too_few_posts_leave_the_middle() -> None:
    assert best_f1([0.9, 0.1], [True, False]) == pytest.approx(MIDDLE)
