"""Lexicon: hits with their benign senses, only beside a cue, and a file that checks itself."""

from collections.abc import Callable
from dataclasses import fields
from importlib.resources import files

import pytest

from classifiers.lexicon import LexiconError, LexiconMatcher, parse_lexicon, read_lexicon
from classifiers.normalise import normalise
from triage.domain.scores import Scores

LEXICON = read_lexicon()
MATCHER = LexiconMatcher(LEXICON)
FILE = files("classifiers.lexicon").joinpath("lexicon.toml").read_text(encoding="utf-8")


def terms(text: str) -> list[str]:
    return [hit.entry.term for hit in MATCHER.find(normalise(text).text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Splash him Friday", ["splash"]),
        ("Splash some water on the plants", []),
        ("4 rambos left, £60", ["rambo"]),
        ("Rambo is still the best action film", []),
        ("🔪 you tomorrow", [":knife:"]),
        ("got the sh4nk waiting for him", ["shank"]),
        ("they all going cunch", ["cunch"]),
        ("wagwan bruv, peng ends innit", []),
    ],
)
def test_ambiguous_terms_need_a_cue(text: str, found: list[str]) -> None:
    assert terms(text) == found


def test_hit_carries_benign_senses_and_that_nobody_reviewed_it_yet() -> None:
    [hit] = MATCHER.find("splash him friday")

    assert "swimming" in hit.entry.note
    assert "by no community linguist yet" in hit.entry.note


def test_lexicon_is_large_enough_and_guards_dialect() -> None:
    assert len(LEXICON.entries) >= 80
    assert {"wagwan", "peng", "mandem", "bruv", "ends", "canny", "our kid"} <= LEXICON.guard


def test_a_hit_cannot_flag() -> None:
    """Nothing of the lexicon is among what the policy reads."""
    assert {field.name for field in fields(Scores)} - {"evidence", "versions"} == {
        "labels",
        "contexts",
        "review",
        "urgent",
        "not_assessed",
    }


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda text: text.replace('term = "ramz"', 'term = "bruv"'), "'bruv' of 'bruv' is on the guard list"),
        (lambda text: text.replace('term = "ramz"', 'term = "shank"'), "stands under 'shank'"),
        (lambda text: text.replace('hint = "WSALE"', 'hint = "BEN"', 1), "no scored code"),
        (lambda text: text.replace('ambiguity = "high"', 'ambiguity = "low"', 1), "has the ambiguity 'low'"),
        (lambda text: text.replace('region = "uk"', 'regoin = "uk"', 1), "has the fields"),
        (lambda text: text.replace('senses_benign = ["', 'senses_benign = []\nx = ["', 1), "has the fields"),
    ],
)
def test_broken_file_is_refused_with_the_entry_named(break_it: Callable[[str], str], message: str) -> None:
    with pytest.raises(LexiconError, match=message):
        parse_lexicon(break_it(FILE))


def test_entry_without_benign_sense_is_refused() -> None:
    bare = FILE.split("[[entry]]")[0] + (
        '[[entry]]\nterm = "x"\nvariants = []\nsense_risk = "harm"\nsenses_benign = []\n'
        'ambiguity = "high"\nhint = "TTL"\nregion = "uk"\n'
    )
    with pytest.raises(LexiconError, match="'x' has no benign sense"):
        parse_lexicon(bare)
