"""The authored corpus: invented posts with their labels, one JSON object a line, and the checks they must pass.

The format is described in ``classifiers/data/README.md``. Evaluation text must come from batches that were never
trained on, and the posts of one contrast set must stay together, so the split goes by file and by set.
"""

import hashlib
import json
import re
import tomllib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from triage.domain.taxonomy import CODES, CONTEXTS, NO_VIOLATION, SpeechAct, Target, Tier

CORPUS_DIR = Path(__file__).parent / "data" / "corpus"
FIELDS = frozenset(
    {"id", "text", "codes", "flag", "tier", "contexts", "speech_act", "target"}
    | {"set", "register", "region", "author", "note"}
)
#: Word-triple overlap above which two posts outside one contrast set count as copies.
NEAR_DUPLICATE = 0.7

_CONTACT = re.compile(r"\b0\d{9,10}\b|\+44\d|https?://(?!example)", re.ASCII)
_HASHES = 24  # minhash functions, in bands of 3: a pair at 0.7 is compared with probability 0.97
_BAND = 3
_PRIME = (1 << 61) - 1
_SPLITS_FILE = Path(__file__).parent / "data" / "splits.toml"


class Split(StrEnum):
    """``train`` is learned from, ``development`` sets calibration and thresholds, ``test`` is only reported."""

    TRAIN = "train"
    DEVELOPMENT = "development"
    TEST = "test"


_HELD_OUT = {
    batch: Split(part)
    for part, batches in tomllib.loads(_SPLITS_FILE.read_text(encoding="utf-8")).items()
    for batch in batches
}


class CorpusError(ValueError):
    """A line of the corpus breaks its format; the message names file, line and field."""


@dataclass(frozen=True, slots=True)
class AuthoredPost:
    """One invented post with its labels. ``batch`` is the file it stands in, without the ending."""

    id: str
    text: str
    codes: frozenset[str]
    flag: bool
    tier: Tier
    contexts: frozenset[str]
    speech_act: SpeechAct
    target: Target
    contrast_set: str | None
    register: str
    region: str
    author: str
    note: str
    batch: str


def read_corpus(directory: Path = CORPUS_DIR) -> list[AuthoredPost]:
    """Read every ``*.jsonl`` of ``directory`` in the order of their names.

    Raises:
        CorpusError: a line is not in the format, or an id occurs twice.
    """
    posts: list[AuthoredPost] = []
    seen: set[str] = set()
    for path in sorted(directory.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                post = parse_line(line, batch=path.stem, where=f"{path.name}:{number}")
                if post.id in seen:
                    raise CorpusError(f"{path.name}:{number}: id {post.id} occurs twice")
                seen.add(post.id)
                posts.append(post)
    return posts


def corpus_digest(directory: Path = CORPUS_DIR) -> str:
    """SHA-256 over the files of the corpus, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.jsonl")):
        digest.update(f"{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def parse_line(line: str, *, batch: str, where: str) -> AuthoredPost:
    """Read one line; ``where`` opens the message of the CorpusError raised if it is not in the format."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where}: not JSON: {error.msg}") from error
    if not isinstance(row, dict) or set(row) != FIELDS:
        got = set(row) if isinstance(row, dict) else set()
        raise CorpusError(f"{where}: missing {sorted(FIELDS - got)}, unknown {sorted(got - FIELDS)}")
    if problem := next(_problems(row), None):
        raise CorpusError(f"{where}: {problem}")
    return AuthoredPost(
        id=row["id"],
        text=row["text"],
        codes=frozenset(row["codes"]) - {NO_VIOLATION},
        flag=row["flag"],
        tier=Tier(row["tier"]),
        contexts=frozenset(row["contexts"]),
        speech_act=SpeechAct(row["speech_act"]),
        target=Target(row["target"]),
        contrast_set=row["set"],
        register=row["register"],
        region=row["region"],
        author=row["author"],
        note=row["note"],
        batch=batch,
    )


def _problems(row: dict[str, Any]) -> Iterator[str]:
    codes = row["codes"]
    if not isinstance(row["text"], str) or not row["text"].strip():
        yield "text: is empty"
    elif _CONTACT.search(row["text"]):
        yield "text: holds a telephone number or an address on the web"
    if not isinstance(codes, list) or not codes or set(codes) - set(CODES):
        yield f"codes: {codes}"
    elif NO_VIOLATION in codes and (codes != [NO_VIOLATION] or row["flag"] or row["tier"] != Tier.P4):
        yield f"codes: {NO_VIOLATION} stands alone, not flagged, P4"
    if not isinstance(row["contexts"], list) or set(row["contexts"]) - set(CONTEXTS):
        yield f"contexts: {row['contexts']}"
    for name, words in (("tier", Tier), ("speech_act", SpeechAct), ("target", Target)):
        if row[name] not in set(words):
            yield f"{name}: {row[name]}"
    if not isinstance(row["flag"], bool):
        yield "flag: is not true or false"


def split_of(batch: str) -> Split:
    """Which part a batch belongs to (``data/splits.toml``); training unless it is held out."""
    return _HELD_OUT.get(batch, Split.TRAIN)


def split_posts(posts: Iterable[AuthoredPost]) -> dict[Split, list[AuthoredPost]]:
    """Split by batch; a contrast set that runs over several batches goes where its first post goes."""
    home: dict[str, Split] = {}
    parts: dict[Split, list[AuthoredPost]] = {split: [] for split in Split}
    for post in posts:
        side = split_of(post.batch)
        if post.contrast_set:
            side = home.setdefault(post.contrast_set, side)
        parts[side].append(post)
    return parts


def shingles(text: str) -> frozenset[str]:
    """The word triples of ``text``, lower case; of a shorter text, its words."""
    words = re.findall(r"\w+", text.lower())
    if len(words) < 3:
        return frozenset(words)
    return frozenset(" ".join(words[i : i + 3]) for i in range(len(words) - 2))


def near_duplicates(
    posts: Sequence[AuthoredPost], *, above: float = NEAR_DUPLICATE
) -> list[tuple[AuthoredPost, AuthoredPost]]:
    """Pairs whose word triples overlap by more than ``above`` (Jaccard), contrast sets left out.

    Candidates come from MinHash bands, so the cost grows with the number of posts, not with its square.
    """
    sets = [shingles(post.text) for post in posts]
    buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, grams in enumerate(sets):
        signature = _minhash(grams)
        for band in range(0, _HASHES, _BAND):
            buckets[(band, *signature[band : band + _BAND])].append(index)
    candidates = {
        (first, second)
        for bucket in buckets.values()
        for position, first in enumerate(bucket)
        for second in bucket[position + 1 :]
    }
    return [
        (posts[first], posts[second])
        for first, second in sorted(candidates)
        if not (posts[first].contrast_set and posts[first].contrast_set == posts[second].contrast_set)
        and _jaccard(sets[first], sets[second]) > above
    ]


def _minhash(grams: frozenset[str]) -> list[int]:
    hashes = [zlib.crc32(gram.encode("utf-8", "surrogatepass")) + 1 for gram in grams] or [0]
    steps = [((2 * k + 3) * 0x9E3779B1, k * 0x85EBCA6B) for k in range(_HASHES)]
    return [min((value * factor + shift) % _PRIME for value in hashes) for factor, shift in steps]


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second) if first | second else 1.0
