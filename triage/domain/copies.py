"""Posts of the same words, and posts of nearly the same: how they are recognised.

Copies are exact up to letter case, spacing, width of letters and characters that draw nothing. Resemblance is that of
runs of four words, estimated from the few with the smallest hashes (a bottom-k sketch), so that a database finds
candidates by an index and nobody compares every post with every other. Neither says anything of who wrote them.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

RUN = 4  # words
SKETCH = 16
#: Posts of fewer words have no sketch: they resemble each other by chance.
FEWEST_WORDS = 8
#: From here on two posts are shown as similar. Estimated from 16 hashes, so give or take an eighth.
RESEMBLES_FROM = 0.4

_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"\w+|[^\w\s]")


def same_words(text: str) -> str:
    """The text without what does not make it another: two posts are copies where this is equal."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SPACES.sub(" ", "".join(c for c in folded if unicodedata.category(c) != "Cf")).strip()


def copy_sha256(text: str) -> str:
    """Equal for copies and for nothing else."""
    return hashlib.sha256(same_words(text).encode()).hexdigest()


def sketch(text: str) -> list[int]:
    """Up to ``SKETCH`` signed 64-bit hashes, rising; none of a post too short to say anything."""
    words = _WORD.findall(same_words(text))
    if len(words) < FEWEST_WORDS:
        return []
    runs = {" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}
    return sorted({_hash(run) for run in runs})[:SKETCH]


def _hash(run: str) -> int:
    return int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), signed=True)


def resemblance(one: Sequence[int], other: Sequence[int]) -> float:
    """The share of runs of words that two posts have in common, 0 to 1, as their sketches estimate it."""
    if not one or not other:
        return 0.0
    smallest = sorted(set(one) | set(other))[:SKETCH]
    both = set(one) & set(other)
    return sum(value in both for value in smallest) / len(smallest)
