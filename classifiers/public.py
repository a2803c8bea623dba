"""Public data sets, read from wherever the person training keeps them; they are no part of this repository.

Each is gzip'd JSON lines of ``{"text", "labels": {"threat": 0|1, "abuse": 0|1}}``; a missing label is unknown.
Only sets whose terms allow it are learned from (MODEL_CARD.md); ``EVALUATION_ONLY`` sets never are.
"""

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVALUATION_ONLY = frozenset(
    {"hatecheck", "edos_dev", "hatemoji_val", "gab_hate", "uk_police", "disaster_tweets", "gametox"}
)


@dataclass(frozen=True, slots=True)
class Share:
    """How many rows of one kind to take from one set."""

    name: str
    labels: dict[str, int]
    count: int


#: Breadth of ordinary talk, rude but harmless talk, and threats outside our own corpus.
TRAINING_MIX: tuple[Share, ...] = (
    Share("goemotions", {"threat": 0}, 600),
    Share("davidson", {"threat": 0, "abuse": 0}, 200),
    Share("toxic_spans", {"threat": 0, "abuse": 1}, 150),
    Share("toxic_spans", {"threat": 1}, 60),
    Share("threatgram", {"threat": 1}, 250),
    Share("threatgram", {"threat": 0}, 250),
    Share("implicit_hate", {"threat": 1}, 60),
    Share("implicit_hate", {"threat": 0, "abuse": 0}, 100),
    Share("edos", {"threat": 1}, 60),
    Share("hatemoji", {"threat": 1}, 50),
    Share("hatemoji", {"threat": 0, "abuse": 0}, 100),
)


def read_rows(directory: Path, name: str) -> list[dict[str, Any]]:
    """All rows of ``directory/name.jsonl.gz``."""
    with gzip.open(directory / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def draw_training_rows(directory: Path, *, seed: int) -> dict[str, list[tuple[str, dict[str, int]]]]:
    """The training mix by set, the same for the same seed. Every sixth row is left for evaluation.

    Raises:
        FileNotFoundError: a set of the mix is not in ``directory``.
    """
    drawn: dict[str, list[tuple[str, dict[str, int]]]] = {}
    for share in TRAINING_MIX:
        if share.name in EVALUATION_ONLY:
            raise ValueError(f"{share.name} is for evaluation only")
        rows = [
            (row["text"], row["labels"])
            for number, row in enumerate(read_rows(directory, share.name))
            if number % 6 and share.labels.items() <= row["labels"].items() and 10 < len(row["text"]) < 400
        ]
        rng = random.Random(f"{seed} {share}")  # noqa: S311 -- a repeatable sample, not a secret
        drawn.setdefault(share.name, []).extend(rng.sample(rows, k=min(share.count, len(rows))))
    return drawn
