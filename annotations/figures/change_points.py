"""Days on which a count changed its level. Pure.

A day is marked when the mean of the ``SPAN`` days from it on differs from that of the ``SPAN`` days before by more than
``ERRORS`` standard errors, counts taken as Poisson, and by more than at any other day within ``SPAN``. It says when to
look, not why: a new partner, a new model and a real change look the same.
"""

from collections.abc import Sequence
from math import sqrt

SPAN = 7
ERRORS = 3.0


def marked(counts: Sequence[int]) -> list[int]:
    """The positions at which the level of these daily counts changed, in order."""
    strength = {day: _strength(counts, day) for day in range(SPAN, len(counts) - SPAN + 1)}
    return [
        day
        for day, value in strength.items()
        if value > ERRORS
        and all(value > strength.get(other, 0.0) for other in range(day - SPAN + 1, day))
        and all(value >= strength.get(other, 0.0) for other in range(day + 1, day + SPAN))
    ]


def _strength(counts: Sequence[int], day: int) -> float:
    before, after = sum(counts[day - SPAN : day]), sum(counts[day : day + SPAN])
    return abs(after - before) / sqrt(before + after) if before + after else 0.0
