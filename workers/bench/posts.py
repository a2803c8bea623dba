"""Invented posts in any number: those that ``triage bench score`` reads, again and again with another ending.

The first round is the texts as they are, nine harmless ones to each flagged one. In later rounds each text ends in
words that say which round it is, because a text that was seen before is no new post. Nothing is drawn by chance.
"""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache

_ENDINGS = (
    *("today", "tonight", "tomorrow", "later", "soon", "again", "maybe", "really", "though", "anyway", "still"),
    *("then", "here", "there", "outside", "inside", "upstairs", "downstairs", "early", "late", "always", "never"),
    *("often", "once", "twice", "lately"),
)


@lru_cache(maxsize=1)
def texts() -> Sequence[str]:
    """The ordinary mix of ``triage bench score``."""
    from classifiers.bench import mixes  # noqa: PLC0415 -- slow import
    from classifiers.corpus import Split, read_corpus, split_posts  # noqa: PLC0415 -- slow import

    posts = split_posts(read_corpus())[Split.TEST]
    return mixes(posts, len(posts))["ordinary"]


def composed(count: int, *, start: int = 0) -> Iterator[str]:
    """``count`` posts from number ``start`` on. Equal numbers are equal posts, different ones are not."""
    known = texts()
    for number in range(start, start + count):
        turn, place = divmod(number, len(known))
        yield " ".join([known[place], *_ending(turn)])


def _ending(turn: int) -> list[str]:
    words = []
    while turn:
        turn, word = divmod(turn, len(_ENDINGS))
        words.append(_ENDINGS[word])
    return words


def report(text: str) -> bytes:
    """A report about it, as a partner sends it."""
    fields = {
        "platform": "chirper",
        "text": text,
        "purpose": "prevention_of_serious_violence",
        "acquisition_mode": "user_report",
    }
    return json.dumps(fields).encode()
