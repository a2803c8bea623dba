"""The lexicon file as data, checked when it is read."""

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib.resources import files
from typing import Any

from triage.domain.taxonomy import SCORED_CODES


class LexiconError(ValueError):
    """The lexicon file breaks its own rules; the message names the entry."""


class Ambiguity(StrEnum):
    """``high``: the benign sense is common or dominant; ``medium``: fairly specific."""

    HIGH = "high"
    MEDIUM = "medium"


@dataclass(frozen=True, slots=True)
class Entry:
    """One term. ``hint`` is the policy code a reader may look at, not a verdict."""

    term: str
    variants: tuple[str, ...]
    sense_risk: str
    senses_benign: tuple[str, ...]
    ambiguity: Ambiguity
    hint: str
    region: str
    first_seen: date
    last_reviewed: date
    reviewers: tuple[str, ...]
    source: str
    licence: str

    @property
    def forms(self) -> tuple[str, ...]:
        return (self.term, *self.variants)

    @property
    def note(self) -> str:
        """What a reviewer must see beside a hit."""
        reviewed = "" if self.reviewers else ", by no community linguist yet"
        return (
            f"can mean {self.sense_risk}; also: {', '.join(self.senses_benign)} "
            f"(written {self.last_reviewed.isoformat()}{reviewed})"
        )


@dataclass(frozen=True, slots=True)
class Lexicon:
    """``guard`` holds everyday dialect that may never be evidence, from any source."""

    version: str
    entries: tuple[Entry, ...]
    guard: frozenset[str]
    cues: frozenset[str]
    cue_window: int


def read_lexicon() -> Lexicon:
    """The shipped lexicon."""
    return parse_lexicon(files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8"))


def parse_lexicon(text: str) -> Lexicon:
    """Read a lexicon file.

    Raises:
        LexiconError: an entry lacks a field or a benign sense, repeats a form, hints at an unknown code, or lists
            a word of the guard list.
    """
    data = tomllib.loads(text)
    guard = frozenset(data["guard"]["terms"])
    entries = tuple(_entry({**data["defaults"], **row}) for row in data["entry"])
    seen: dict[str, str] = {}
    for entry in entries:
        for form in entry.forms:
            if form in guard:
                raise LexiconError(f"lexicon: {form!r} of {entry.term!r} is on the guard list")
            if form in seen:
                raise LexiconError(f"lexicon: {form!r} stands under {seen[form]!r} and {entry.term!r}")
            seen[form] = entry.term
    cues = data["cues"]
    return Lexicon(
        version=f"{data['version']}+{hashlib.sha256(text.encode()).hexdigest()[:8]}",
        entries=entries,
        guard=guard,
        cues=frozenset((*cues["target"], *cues["when"], *cues["sale"])),
        cue_window=int(cues["window"]),
    )


def _entry(row: dict[str, Any]) -> Entry:
    term = row.get("term", "?")
    expected = set(Entry.__slots__)
    if set(row) != expected:
        raise LexiconError(f"lexicon: {term!r} has the fields {sorted(row)}, not {sorted(expected)}")
    if not row["senses_benign"]:
        raise LexiconError(f"lexicon: {term!r} has no benign sense; a word without one needs no lexicon")
    if row["hint"] not in SCORED_CODES:
        raise LexiconError(f"lexicon: {term!r} hints at {row['hint']!r}, which is no scored code")
    if row["ambiguity"] not in set(Ambiguity):
        raise LexiconError(f"lexicon: {term!r} has the ambiguity {row['ambiguity']!r}")
    return Entry(
        **{name: str(row[name]) for name in ("term", "sense_risk", "hint", "region", "source", "licence")},
        variants=tuple(row["variants"]),
        senses_benign=tuple(row["senses_benign"]),
        ambiguity=Ambiguity(row["ambiguity"]),
        first_seen=date.fromisoformat(row["first_seen"]),
        last_reviewed=date.fromisoformat(row["last_reviewed"]),
        reviewers=tuple(row["reviewers"]),
    )
