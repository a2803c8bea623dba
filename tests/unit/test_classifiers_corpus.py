"""The authored corpus keeps its own rules, and so do the splits and the sources of the shipped model."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from classifiers.artefact import read_artefact
from classifiers.corpus import (
    AuthoredPost,
    CorpusError,
    Split,
    near_duplicates,
    parse_line,
    read_corpus,
    split_of,
    split_posts,
)
from classifiers.public import EVALUATION_ONLY, TRAINING_MIX
from triage.domain.taxonomy import SCORED_CODES

POSTS = read_corpus()
PAIRS = [json.loads(line) for line in Path("tests/data/contrast_pairs.jsonl").read_text(encoding="utf-8").splitlines()]
GOOD = {
    "id": "x-0001", "text": "an invented post", "codes": ["BEN"], "flag": False, "tier": "P4", "contexts": [],
    "speech_act": "unclear", "target": "none", "set": None, "register": "other", "region": "standard",
    "author": "x", "note": "",
}  # fmt: skip


def test_no_two_posts_are_copies() -> None:
    assert [(first.id, second.id) for first, second in near_duplicates(POSTS)] == []


def test_corpus_is_balanced_and_half_in_contrast_sets() -> None:
    flagged = sum(post.flag for post in POSTS) / len(POSTS)

    assert 0.4 <= flagged <= 0.55
    assert sum(post.contrast_set is not None for post in POSTS) / len(POSTS) >= 0.45


def test_every_code_has_posts_in_every_split() -> None:
    for split, posts in split_posts(POSTS).items():
        counts = Counter(code for post in posts for code in post.codes)
        assert {code for code in SCORED_CODES if not counts[code]} == set(), split


def test_no_contrast_set_is_split() -> None:
    sides: dict[str, set[Split]] = {}
    for split, posts in split_posts(POSTS).items():
        for post in posts:
            if post.contrast_set:
                sides.setdefault(post.contrast_set, set()).add(split)
    assert [name for name, where in sides.items() if len(where) > 1] == []


def test_near_copies_are_found_and_contrast_sets_are_not() -> None:
    text = "tell your brother I will see him at the corner shop on Friday after football"
    first = AuthoredPost(**{name: getattr(POSTS[0], name) for name in AuthoredPost.__slots__})
    first = replace(first, id="a", text=text, contrast_set=None)
    copy = replace(first, id="b", text=text.upper() + "!!")
    other = replace(first, id="c", text="a completely different remark about the weather in Leeds this week")

    assert near_duplicates([first, other, copy]) == [(first, copy)]
    same_set = [replace(post, contrast_set="s1") for post in (first, copy)]
    assert near_duplicates(same_set) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": " "}, "f.jsonl:3: text: is empty"),
        ({"text": "ring 07700900123"}, "telephone number"),
        ({"codes": ["TTL", "BEN"]}, "stands alone"),
        ({"codes": ["XXX"]}, "codes:"),
        ({"codes": ["TTL"], "flag": "yes"}, "flag:"),
        ({"codes": ["TTL"], "tier": "P9"}, "tier: P9"),
        ({"extra": 1}, "unknown \\['extra'\\]"),
    ],
)
def test_bad_line_is_refused_with_place_and_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse_line(json.dumps(GOOD | change), batch="f", where="f.jsonl:3")


def test_regression_pairs_are_not_in_the_corpus() -> None:
    """They are a test; a model that has read them proves nothing."""
    template = parse_line(json.dumps(GOOD), batch="f", where="f:1")
    pairs = [replace(template, id=f"pair-{number}", text=pair["text"]) for number, pair in enumerate(PAIRS)]
    copies = near_duplicates([*POSTS, *pairs])

    assert [(first.id, second.id) for first, second in copies] == []


def test_shipped_model_learned_from_allowed_sources_only() -> None:
    manifest = read_artefact().manifest

    assert set(manifest["sources"]) <= {"authored", *(share.name for share in TRAINING_MIX)}
    assert not EVALUATION_ONLY & set(manifest["sources"])
    assert len(manifest["corpus"]["training_batches"]) > 40
    assert {split_of(batch) for batch in manifest["corpus"]["training_batches"]} == {Split.TRAIN}
