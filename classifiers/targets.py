"""What the classifiers are to reach, and where they stand: every figure with its n and its 95 % interval (Wilson).

A row that cannot be measured here (a set that is not on this machine) is left out, not passed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from classifiers import suite
from classifiers.augment import KINDS, disguised
from classifiers.calibration import expected_calibration_error
from classifiers.corpus import AuthoredPost
from classifiers.pipeline import Pipeline
from classifiers.public import read_rows
from triage.domain import policy
from triage.domain.scores import Scores
from triage.domain.taxonomy import SCORED_CODES

#: Rows of ``train/threatgram`` with this remainder are never learned from (``public.draw_training_rows``).
HELD_OUT_OF_THREATGRAM = 6
_COUNTER = ("counter_quote_nh", "counter_ref_nh", "negate_neg_nh", "target_obj_nh")
_THREATS = ("threat_dir_h", "threat_norm_h")
_ORDINARY = {"uk_police": 0.02, "disaster_tweets": 0.03, "gametox": 0.03}
#: A calibration error is read for codes with at least this many posts that have them.
FEWEST_OF_A_CODE = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One target. ``low`` and ``high`` bound ``value``; ``met`` compares ``value`` with ``bound``."""

    what: str
    n: int
    value: float
    low: float
    high: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    z, p = 1.96, right / n
    middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))


def share(what: str, right: int, n: int, bound: float, *, at_least: bool = True) -> Row:
    low, high = wilson(right, n)
    return Row(what, n, right / n if n else float("nan"), low, high, bound, at_least)


def of_suite(pipeline: Pipeline) -> tuple[list[Row], list[suite.Outcome]]:
    """Own suite: all cases, whole contrast sets, the worst functionality, and the spread over dialects."""
    cases = suite.read_suite()
    scores = pipeline.score([case.text for case in cases])
    outcomes = suite.by_functionality(cases, scores)
    whole, sets = suite.sets_exactly_right(cases, scores)
    worst = min(outcomes, key=lambda outcome: outcome.share)
    good = sum(outcome.share >= 0.9 for outcome in outcomes)
    rows = [
        share("own suite: cases right", sum(outcome.right for outcome in outcomes), len(cases), 0.95),
        share("own suite: contrast sets wholly right", whole, sets, 0.90),
        share("own suite: functionalities at 90 % or more", good, len(outcomes), 1.0),
        share(f"own suite: the worst, {worst.functionality.name}", worst.right, worst.cases, 0.80),
    ]
    return rows, outcomes


def of_dialects(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> list[Row]:
    """Benign posts of every English but the standard one: how much more often they are flagged than standard ones."""
    wrong: dict[str, list[bool]] = {}
    for post, said in zip(posts, scores, strict=True):
        if not post.flag:
            wrong.setdefault(post.region, []).append(policy.assess(said).flagged)
    standard = float(np.mean(wrong["standard"]))
    rows = []
    for region, flags in sorted(wrong.items()):
        if region != "standard":
            low, high = wilson(sum(flags), len(flags))
            value = float(np.mean(flags)) - standard
            what = f"benign, {region}: false positives above standard English"
            rows.append(Row(what, len(flags), value, low - standard, high - standard, 0.02, at_least=False))
    return rows


def of_disguises(pipeline: Pipeline, posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> list[Row]:
    """Of the flagged posts that are flagged undisguised: the share still flagged in each disguise."""
    found = [post.text for post, said in zip(posts, scores, strict=True) if post.flag and policy.assess(said).flagged]
    rows = []
    for kind in KINDS:
        rng = random.Random(kind)  # noqa: S311 -- repeatable
        again = pipeline.score([disguised(text, kind, rng) for text in found])
        kept = sum(policy.assess(said).flagged for said in again)
        rows.append(share(f"recall kept under {kind}", kept, len(found), 0.95))
    return rows


def of_calibration(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> list[Row]:
    """Expected calibration error (10 bins) and, in the name, the Brier score of review and of every frequent code."""
    rows = []
    for code in ("review", *SCORED_CODES):
        said = np.array([s.review if code == "review" else s.labels[code] for s in scores])
        true = np.array([post.flag if code == "review" else code in post.codes for post in posts], dtype=np.float64)
        if true.sum() >= FEWEST_OF_A_CODE:
            error = expected_calibration_error(said, true)
            low, high = _bootstrap(said, true)
            brier = float(((said - true) ** 2).mean())
            what = f"calibration error, {code} ({int(true.sum())} have it; Brier {brier:.3f})"
            rows.append(Row(what, len(posts), error, low, high, 0.03, at_least=False))
    return rows


def _bootstrap(said: np.ndarray, true: np.ndarray, *, draws: int = 200) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(said), (draws, len(said)))
    errors = [expected_calibration_error(said[pick], true[pick]) for pick in picks]
    return float(np.quantile(errors, 0.025)), float(np.quantile(errors, 0.975))


def of_public_sets(pipeline: Pipeline, evaluation: Path, *, limit: int) -> list[Row]:
    """HateCheck's threats and counter-speech, and three kinds of ordinary talk."""
    rows = []
    check = [row for row in read_rows(evaluation, "hatecheck") if row["functionality"] in (*_COUNTER, *_THREATS)]
    flagged = [policy.assess(s).flagged for s in pipeline.score([row["text"] for row in check])]
    for name in (*_THREATS, *_COUNTER):
        said = [answer for row, answer in zip(check, flagged, strict=True) if row["functionality"] == name]
        if name in _THREATS:
            rows.append(share(f"HateCheck {name}: flagged", sum(said), len(said), 0.98))
        else:
            rows.append(share(f"HateCheck {name}: not flagged", len(said) - sum(said), len(said), 0.95))
    for name, bound in _ORDINARY.items():
        texts = [row["text"] for row in read_rows(evaluation, name)]
        random.Random(1).shuffle(texts)  # noqa: S311 -- a repeatable sample
        answers = [policy.assess(s) for s in pipeline.score(texts[:limit])]
        wrong = sum(answer.flagged and answer.assessed for answer in answers)
        rows.append(share(f"{name}: wrongly flagged", wrong, len(answers), bound, at_least=False))
    return rows


def of_threatgram(pipeline: Pipeline, training: Path, *, limit: int) -> list[Row]:
    """F1 of the violent class on the sixth of ThreatGram that is never learned from; flagged means violent."""
    rows = [row for number, row in enumerate(read_rows(training, "threatgram")) if not number % HELD_OUT_OF_THREATGRAM]
    random.Random(1).shuffle(rows)  # noqa: S311 -- a repeatable sample
    rows = rows[:limit]
    said = np.array([policy.assess(s).flagged for s in pipeline.score([row["text"] for row in rows])])
    true = np.array([row["labels"]["threat"] == 1 for row in rows])
    rng = np.random.default_rng(1)
    draws = [_f1(said[pick], true[pick]) for pick in rng.integers(0, len(rows), (200, len(rows)))]
    low, high = float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))
    return [Row("ThreatGram, violent class: F1", len(rows), _f1(said, true), low, high, 0.90)]


def _f1(said: np.ndarray, true: np.ndarray) -> float:
    return 2 * float((said & true).sum()) / max(float(said.sum() + true.sum()), 1.0)
