"""Labelled posts as rows of numbers: one column per head, NaN where a data set does not say."""

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.corpus import AuthoredPost
from classifiers.model import HEAD_NAMES, REVIEW, URGENT
from triage.domain.taxonomy import SCORED_CODES, SpeechAct, Target, Tier

Matrix = npt.NDArray[np.float32]

SPEECH_ACTS = tuple(act.value for act in SpeechAct)
TARGETS = tuple(target.value for target in Target)
#: Columns learned beside the heads because they teach the encoder to read; thrown away after training.
AUXILIARY: tuple[str, ...] = (*(f"act:{act}" for act in SPEECH_ACTS), *(f"target:{target}" for target in TARGETS))
COLUMNS: tuple[str, ...] = (*HEAD_NAMES, *AUXILIARY)
_COLUMN = {name: index for index, name in enumerate(COLUMNS)}
REVIEW_COLUMN = _COLUMN[REVIEW]


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts and their targets, row by row.

    ``sources`` names the data set of each row, ``sets`` its contrast set or "".
    """

    texts: tuple[str, ...]
    targets: Matrix
    sources: tuple[str, ...]
    sets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __add__(self, other: "Examples") -> "Examples":
        return Examples(
            self.texts + other.texts,
            np.concatenate([self.targets, other.targets]),
            self.sources + other.sources,
            self.sets + other.sets,
        )

    def digest(self) -> str:
        """SHA-256 over texts and targets: two runs with the same one learned from the same data."""
        digest = hashlib.sha256(self.targets.tobytes())
        for text in self.texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


def from_authored(posts: Sequence[AuthoredPost]) -> Examples:
    """Every column of an authored post is known."""
    targets = np.zeros((len(posts), len(COLUMNS)), dtype=np.float32)
    for row, post in zip(targets, posts, strict=True):
        for name in (*post.codes, *post.contexts, f"act:{post.speech_act}", f"target:{post.target}"):
            if name in _COLUMN:  # OOS has no head of its own: it is in the review flag
                row[_COLUMN[name]] = 1.0
        row[_COLUMN[REVIEW]] = post.flag
        row[_COLUMN[URGENT]] = post.tier is Tier.P0
    return Examples(
        tuple(post.text for post in posts),
        targets,
        ("authored",) * len(posts),
        tuple(post.contrast_set or "" for post in posts),
    )


def from_public(name: str, rows: Sequence[tuple[str, dict[str, int]]]) -> Examples:
    """What a public set says about our heads; everything else is NaN.

    A violent threat belongs in review; which code it is, the sets do not say. No threat: not TTL, INC or urgent.
    No threat and no abuse: benign throughout. Abuse without threat may be hate, another owner's: review unknown.
    """
    targets = np.full((len(rows), len(COLUMNS)), math.nan, dtype=np.float32)
    for row, (_, labels) in zip(targets, rows, strict=True):
        threat, abuse = labels.get("threat"), labels.get("abuse")
        if threat == 1:
            row[_COLUMN[REVIEW]] = 1.0
        if threat == 0:
            for head in ("TTL", "INC", URGENT):
                row[_COLUMN[head]] = 0.0
        if threat == 0 and (abuse == 0 or name == "goemotions"):
            for head in (*SCORED_CODES, REVIEW, URGENT):
                row[_COLUMN[head]] = 0.0
    return Examples(tuple(text for text, _ in rows), targets, (name,) * len(rows), ("",) * len(rows))


def shuffled_batches(lengths: Sequence[int], sets: Sequence[str], size: int, rng: random.Random) -> list[list[int]]:
    """Indices in batches of similar length, so that little is spent on padding; in random order.

    The posts of a contrast set stand side by side, mostly in one batch: they are to be told apart, not learned apart.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(sets):
        groups.setdefault(name or f"alone {index}", []).append(index)
    members = sorted(groups.values(), key=lambda group: max(lengths[index] for index in group) + rng.random() * 8)
    order = [index for group in members for index in group]
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches
