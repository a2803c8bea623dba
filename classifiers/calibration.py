"""Turn a head's logit into a probability that means what it says.

Platt scaling per head, ``sigmoid(slope * logit + shift)``, with a prior that holds slope and shift near what the
training loss implies: a head with few positive examples in the development split is then moved only a little.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SECOND_WEIGHT = 3.0  # of three votes the second reader has two
_PRIOR_STRENGTH = 1.0
_STEPS = 50
_MINIMUM_SLOPE = 0.2


@dataclass(frozen=True, slots=True)
class Calibration:
    """One slope and one shift per head, in the order of the heads."""

    slopes: Floats
    shifts: Floats

    def probabilities(self, logits: npt.NDArray[np.float32]) -> Floats:
        """Calibrated probabilities for rows of logits."""
        scaled = np.clip(logits.astype(np.float64) * self.slopes + self.shifts, -60.0, 60.0)
        probabilities: Floats = 1.0 / (1.0 + np.exp(-scaled))
        return probabilities

    def as_json(self, heads: Sequence[str]) -> dict[str, Any]:
        return {
            "method": "Platt scaling with a prior",
            "heads": {
                head: {"slope": round(float(slope), 6), "shift": round(float(shift), 6)}
                for head, slope, shift in zip(heads, self.slopes, self.shifts, strict=True)
            },
        }


@dataclass(frozen=True, slots=True)
class OfReaders:
    """How the two readers' logits become one probability per head.

    ``alone`` is for what only the first reader read, ``together`` for the mean of both. The second reads what the
    first, alone, puts at ``second_from`` or more for review.
    """

    alone: Calibration
    together: Calibration
    second_from: float
    review: int

    def needs_second(self, first: npt.NDArray[np.float32]) -> bool:
        """Whether one row of the first reader's logits leaves a doubt."""
        return bool(self.alone.probabilities(first)[self.review] >= self.second_from)

    def probabilities(self, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32] | None) -> Floats:
        """Calibrated probabilities for one row of logits of each reader that read."""
        if second is None:
            return self.alone.probabilities(first)
        return self.together.probabilities(mean_logits(first, second))


def mean_logits(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What two readers make of a text together. The second is the better one and counts double."""
    return ((first + (SECOND_WEIGHT - 1) * second) / SECOND_WEIGHT).astype(np.float32)


def of_readers(value: Mapping[str, Any], heads: Sequence[str]) -> OfReaders:
    """Read ``calibration.json``.

    Raises:
        KeyError, ValueError: a part or a head is missing, or a number is not finite.
    """
    return OfReaders(
        alone=from_json(value["alone"], heads),
        together=from_json(value["together"], heads),
        second_from=float(value["second_from"]),
        review=list(heads).index("review"),
    )


def from_json(value: Mapping[str, Any], heads: Sequence[str]) -> Calibration:
    """Read what ``as_json`` wrote.

    Raises:
        ValueError: a head is missing or a number is not finite.
    """
    rows = value["heads"]
    if missing := [head for head in heads if head not in rows]:
        raise ValueError(f"calibration: no numbers for {', '.join(missing)}")
    slopes = np.array([float(rows[head]["slope"]) for head in heads])
    shifts = np.array([float(rows[head]["shift"]) for head in heads])
    if not (np.isfinite(slopes).all() and np.isfinite(shifts).all()):
        raise ValueError(f"calibration: not finite: {json.dumps(rows)[:200]}")
    return Calibration(slopes, shifts)


def fit_calibration(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], priors: Floats) -> Calibration:
    """Fit every head on the rows whose target is known; ``priors`` is the expected shift of each head."""
    slopes, shifts = np.ones(logits.shape[1]), priors.copy()
    for head in range(logits.shape[1]):
        known = ~np.isnan(targets[:, head])
        slopes[head], shifts[head] = _fit_head(
            logits[known, head].astype(np.float64), targets[known, head].astype(np.float64), float(priors[head])
        )
    return Calibration(slopes, shifts)


def _fit_head(logits: Floats, targets: Floats, prior_shift: float) -> tuple[float, float]:
    """Newton's method on the penalised log-likelihood, a convex function of slope and shift."""
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    prior = np.array([1.0, prior_shift])
    weights = prior.copy()
    for _ in range(_STEPS):
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -60.0, 60.0)))
        gradient = design.T @ (probabilities - targets) + _PRIOR_STRENGTH * (weights - prior)
        curvature = (design * (probabilities * (1 - probabilities))[:, None]).T @ design
        step = np.linalg.solve(curvature + _PRIOR_STRENGTH * np.eye(2), gradient)
        weights = weights - np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    return max(float(weights[0]), _MINIMUM_SLOPE), float(weights[1])


def expected_calibration_error(probabilities: Floats, targets: Floats, *, bins: int = 10) -> float:
    """Mean distance between what was said and what was so, over equally wide bins."""
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        rows = index == number
        if rows.any():
            total += abs(float(probabilities[rows].mean()) - float(targets[rows].mean())) * float(rows.sum())
    return total / len(probabilities) if len(probabilities) else math.nan
