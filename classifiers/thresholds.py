"""Choose the numbers of ``policy.toml`` from calibrated scores, for a stated recall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.corpus import AuthoredPost
from triage.domain.scores import Scores
from triage.domain.taxonomy import SCORED_CODES, Tier

Floats = npt.NDArray[np.float64]

#: With fewer positive posts than this the threshold would be an accident; such a code keeps the middle one.
FEWEST_POSITIVES = 8
MIDDLE = 0.4
#: A threshold outside these says more about the posts at hand than about those to come.
LOWEST, HIGHEST = 0.2, 0.6


@dataclass(frozen=True, slots=True)
class Recall:
    """What share of the posts that should be found is to be found, at the least.

    ``review``: of those a moderator wants to see; ``code``: of those with a policy code, for each code; ``urgent``:
    of those at P0.
    """

    review: float
    code: float
    urgent: float


def choose(posts: Sequence[AuthoredPost], scores: Sequence[Scores], recall: Recall) -> dict[str, float]:
    """The highest thresholds that reach ``recall``: one per code, ``review``, ``urgent`` and ``code_alone``.

    ``code_alone`` is the highest of the codes' own: a code so likely flags a post whatever the post as a whole
    looks like.
    """
    assessed = [(post, said) for post, said in zip(posts, scores, strict=True) if said.assessed]
    chosen = {
        code: reaching(recall.code, [s.labels[code] for _, s in assessed], [code in post.codes for post, _ in assessed])
        for code in SCORED_CODES
    }
    chosen["code_alone"] = max(chosen.values())
    chosen["review"] = reaching(recall.review, [s.review for _, s in assessed], [post.flag for post, _ in assessed])
    urgent = [post.tier is Tier.P0 for post, _ in assessed]
    chosen["urgent"] = reaching(recall.urgent, [s.urgent for _, s in assessed], urgent)
    return chosen


def reaching(recall: float, values: Sequence[float], true: Sequence[bool]) -> float:
    """The highest threshold, in steps of .01, at which a share of ``recall`` of the ``true`` values lies on or
    above it."""
    positives = np.array(values, dtype=np.float64)[np.array(true, dtype=bool)]
    if len(positives) < FEWEST_POSITIVES:
        return MIDDLE
    at = np.sort(positives)[int(np.floor((1.0 - recall) * len(positives)))]
    return float(np.clip(np.floor(at * 100) / 100, LOWEST, HIGHEST))
