"""Figures for a classifier's answers on labelled posts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from classifiers.corpus import AuthoredPost
from classifiers.model import HEAD_NAMES
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

Floats = npt.NDArray[np.float64]
#: Below this many positive posts an average precision says nothing.
FEWEST_POSITIVES = 3


@dataclass(frozen=True, slots=True)
class Yes:
    """How a yes-or-no answer did."""

    accuracy: float
    precision: float
    recall: float
    false_positive_rate: float


def yes_or_no(said: Sequence[bool], true: Sequence[bool]) -> Yes:
    """Accuracy, precision, recall and false-positive rate; a rate over nothing is NaN."""
    answers, truths = np.array(said, dtype=bool), np.array(true, dtype=bool)
    hits = float((answers & truths).sum())
    return Yes(
        accuracy=float((answers == truths).mean()),
        precision=hits / answers.sum() if answers.any() else float("nan"),
        recall=hits / truths.sum() if truths.any() else float("nan"),
        false_positive_rate=float((answers & ~truths).sum() / (~truths).sum()) if (~truths).any() else float("nan"),
    )


def average_precisions(scores: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> dict[str, float]:
    """Average precision of every head that has enough positive posts."""
    return {
        name: float(average_precision_score(targets[:, column], scores[:, column]))
        for column, name in enumerate(HEAD_NAMES)
        if targets[:, column].sum() >= FEWEST_POSITIVES
    }


def area_under_curve(scores: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> float:
    return float(roc_auc_score(targets, scores))


def mean_over(values: Mapping[str, float], names: Sequence[str]) -> float:
    """Mean of those ``names`` that have a value."""
    return float(np.mean([values[name] for name in names if name in values]))


def mean_code_precision(values: Mapping[str, float]) -> float:
    return mean_over(values, SCORED_CODES)


def mean_context_precision(values: Mapping[str, float]) -> float:
    return mean_over(values, tuple(CONTEXTS))


def contrast_exactness(posts: Sequence[AuthoredPost], right: Sequence[bool]) -> tuple[float, int]:
    """Share of contrast sets in which every post was answered rightly, and how many sets there were."""
    sets: dict[str, list[bool]] = defaultdict(list)
    for post, ok in zip(posts, right, strict=True):
        if post.contrast_set:
            sets[post.contrast_set].append(ok)
    whole = [all(answers) for answers in sets.values() if len(answers) > 1]
    return float(np.mean(whole)) if whole else float("nan"), len(whole)
