"""Suggest the numbers of ``policy.toml`` from calibrated scores on the development split."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from classifiers.corpus import AuthoredPost
from triage.domain.scores import Scores
from triage.domain.taxonomy import SCORED_CODES, Tier

Floats = npt.NDArray[np.float64]

_CANDIDATES = np.round(np.arange(0.2, 0.81, 0.05), 2)
#: With fewer positive posts the best threshold is an accident; such a code keeps the middle one.
FEWEST_POSITIVES = 8
MIDDLE = 0.5


def suggest_thresholds(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> dict[str, float]:
    """The best F1 for every code, for ``review`` and for ``urgent``."""
    suggested = {
        code: best_f1([s.labels[code] for s in scores], [code in post.codes for post in posts]) for code in SCORED_CODES
    }
    suggested["review"] = best_f1([s.review for s in scores], [post.flag for post in posts])
    suggested["urgent"] = best_f1([s.urgent for s in scores], [post.tier is Tier.P0 for post in posts])
    return suggested


def best_f1(values: Sequence[float], true: Sequence[bool]) -> float:
    """The candidate with the highest F1, the middle of them where several tie; ``MIDDLE`` for too few positives."""
    truths = np.array(true, dtype=bool)
    if truths.sum() < FEWEST_POSITIVES:
        return MIDDLE
    scores = np.array(values)
    f1 = []
    for candidate in _CANDIDATES:
        said = scores >= candidate
        f1.append(2 * float((said & truths).sum()) / float(said.sum() + truths.sum()))
    best = [candidate for candidate, value in zip(_CANDIDATES, f1, strict=True) if value >= max(f1) - 1e-9]
    return float(best[len(best) // 2])
