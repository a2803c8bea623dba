"""What the figures are made of: agreement, days on which a level changed, small numbers kept back, charts."""

import pytest

from annotations.agreement import Pairs
from annotations.figures import change_points, charts
from annotations.figures.reading import Bin, Share, hidden_cells


@pytest.mark.parametrize(
    ("pairs", "alpha"),
    [
        (Pairs(both=10, one=0, neither=10), 1.0),
        # Krippendorff's own example for two observers and binary data (2011, "Computing alpha"): 10 units, 0.095.
        (Pairs(both=1, one=4, neither=5), 0.095),
        (Pairs(both=0, one=10, neither=0), -0.9),
    ],
)
def test_alpha(pairs: Pairs, alpha: float) -> None:
    assert pairs.alpha == pytest.approx(alpha, abs=0.001)


def test_no_alpha_where_everybody_always_says_the_same() -> None:
    assert Pairs(both=0, one=0, neither=30).alpha is None


def test_change_of_level_is_marked_once_on_its_day() -> None:
    assert change_points.marked([2, 3, 2, 3, 2, 3, 2, 3, 2, 3] * 2 + [12, 11, 13, 12, 11, 12, 13, 12, 11, 12]) == [20]


@pytest.mark.parametrize("counts", [[3, 2, 4, 3, 2, 3, 4] * 4, [0] * 28, [5], []])
def test_level_that_stays_is_not_marked(counts: list[int]) -> None:
    assert change_points.marked(counts) == []


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [([10, 12], set()), ([10, 3, 40], {0, 1}), ([2, 3, 40], {0, 1}), ([3], {0}), ([], set())],
)
def test_small_number_is_kept_back_and_cannot_be_worked_out(counts: list[int], hidden: set[int]) -> None:
    assert hidden_cells(counts) == hidden


def test_share_of_nothing_is_no_number() -> None:
    assert Share(0, 0).percent is None


def test_charts_stay_inside_their_picture() -> None:
    bars = charts.bars({"a": 1_000_000, "b": 0}, "words")
    dots = charts.reliability([Bin(0, 10, 0, 0.02), Bin(90, 10, 10, 1.0)], "words")

    assert all(box.x >= 0 and box.x + box.width <= charts.WIDTH for box in bars.boxes)
    assert [label.text for label in bars.labels] == ["a", "1,000,000", "b", "0"]
    assert all(0 <= dot.x <= charts.WIDTH and 0 <= dot.y <= dots.height for dot in dots.dots)
