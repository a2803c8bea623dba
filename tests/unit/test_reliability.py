"""How far an organisation's reports were borne out: bounded, and nothing from too little."""

import pytest

from triage.domain.reliability import bonus, in_words


@pytest.mark.parametrize(
    ("upheld", "not_upheld", "expected"),
    [
        (0, 0, 0.0),
        (5, 0, 0.0),
        (6, 0, 6.46),
        (7, 3, 0.0),
        (0, 16, -10.0),
        (16, 0, 10.0),
        (1000, 0, 24.91),
        (8, 2, 2.77),
    ],
)
def test_bonus(upheld: int, not_upheld: int, expected: float) -> None:
    assert bonus(upheld, not_upheld) == expected


def test_bonus_rises_with_each_case_upheld_and_falls_with_each_that_was_not() -> None:
    assert [bonus(n, 20 - n) for n in range(21)] == sorted(bonus(n, 20 - n) for n in range(21))
    assert bonus(20, 1) < bonus(20, 0)


def test_words_give_counts_and_say_when_they_are_too_few() -> None:
    assert in_words(3, 2) == "Too few of its reports were decided to say how reliable it is."
    assert in_words(1200, 34) == "Of 1,234 cases that it reported and people decided, 1,200 were upheld."
