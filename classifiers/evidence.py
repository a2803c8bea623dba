"""The words that carried a score: short phrases, each a part of the post, read off the reader that scored it.

A post's logit is the mean of its tokens' logits, so a word's share in it needs no second pass. Words that only hold
a sentence together and words of the dialect guard list are never the reason shown: the first would tell a reader
nothing, the second would tell them something untrue. How faithful the phrases are to the model is measured by
deletion (docs/evaluation.md, "Evidence").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.model import HEAD_NAMES, REVIEW
from classifiers.reader import Reading
from classifiers.windows import Word
from triage.domain.taxonomy import SCORED_CODES

#: Below this the model's own words are not worth showing; far under every threshold of the policy.
EVIDENCE_FROM = 0.3
PHRASES = 3
LONGEST = 6  # words
_GLUE = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "and",
        "or",
        "but",
        "so",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "it",
        "its",
        "it's",
        "s",
        "i",
        "im",
        "i'm",
        "me",
        "my",
        "you",
        "u",
        "ur",
        "your",
        "he",
        "him",
        "his",
        "she",
        "her",
        "they",
        "them",
        "their",
        "we",
        "us",
        "our",
        "this",
        "that",
        "these",
        "those",
        "there",
        "here",
        "not",
        "no",
        "do",
        "does",
        "did",
        "have",
        "has",
        "had",
        "will",
        "would",
    ]
)
_REVIEW = HEAD_NAMES.index(REVIEW)
_CODES = slice(0, len(SCORED_CODES))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phrase:
    """``text[start:end]`` of a normalised text, and by how much its words lie above the post's mean, summed."""

    start: int
    end: int
    code: str
    weight: float


def model_spans(text: str, reading: Reading, top: Floats, *, guarded: Callable[[str], bool]) -> list[Phrase]:
    """At most ``PHRASES`` phrases for the strongest code, from the window in which it was strongest.

    ``top`` holds the post's calibrated probabilities. Where no code is likely but the post as a whole is, the words
    are those that speak for review, under the name of the likeliest code.
    """
    code = int(top[_CODES].argmax())
    if max(top[code], top[_REVIEW]) < EVIDENCE_FROM:
        return []
    head = code if top[code] >= EVIDENCE_FROM else _REVIEW
    at = int(reading.by_window[:, head].argmax())
    tokens = reading.by_token[at][:, head]
    words = reading.windows[at].words
    above = [float(tokens[word.first : word.last].max() - tokens.mean()) for word in words]
    kinds = [text[word.start : word.end] for word in words]
    weights = [
        -np.inf if guarded(kind) else min(weight, 0.0) if kind in _GLUE else weight
        for kind, weight in zip(kinds, above, strict=True)
    ]
    return [
        Phrase(words[first].start, words[last].end, SCORED_CODES[code], round(weight, 3))
        for first, last, weight in _heaviest(weights, words)
    ]


def _heaviest(weights: Sequence[float], words: Sequence[Word]) -> list[tuple[int, int, float]]:
    """The heaviest runs of at most ``LONGEST`` words that do not overlap, in falling order; only runs above zero."""
    runs = []
    for first in range(len(words)):
        total = 0.0
        for last in range(first, min(first + LONGEST, len(words))):
            total += weights[last]
            if total == -np.inf:
                break
            if weights[first] > 0 and weights[last] > 0:  # a phrase neither opens nor ends with glue
                runs.append((first, last, total))
    chosen: list[tuple[int, int, float]] = []
    for first, last, total in sorted(runs, key=lambda run: -run[2]):
        if len(chosen) == PHRASES:
            break
        if all(last < other_first or first > other_last for other_first, other_last, _ in chosen):
            chosen.append((first, last, total))
    return chosen
