"""The functional suite: broad, well formed, and not in the training text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from classifiers import suite
from classifiers.corpus import near_duplicates, read_corpus
from classifiers.suite import Expect, SuiteError, is_right, read_functionalities, read_suite
from triage.domain.scores import NotAssessed, Scores
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

CASES = read_suite()


def scores(review: float) -> Scores:
    return Scores(dict.fromkeys(SCORED_CODES, 0.0), dict.fromkeys(CONTEXTS, 0.0), review=review)


def test_it_is_broad() -> None:
    names = read_functionalities()
    cases = {name: [case for case in CASES if case.functionality == name] for name in names}

    assert len(CASES) >= 1500
    assert len(names) >= 50
    assert min(map(len, cases.values())) >= 15
    assert {case.expect for case in CASES} == set(Expect)


def test_no_case_is_in_the_training_text() -> None:
    posts = read_corpus()
    cases = [replace(posts[0], id=case.id, text=case.text, contrast_set=None) for case in CASES]
    ids = {case.id for case in CASES}

    copies = near_duplicates([*posts, *cases])

    assert [(a.id, b.id) for a, b in copies if (a.id in ids) != (b.id in ids)] == []


def test_not_assessed_is_right_only_where_expected() -> None:
    unread = Scores(not_assessed=NotAssessed.UNKNOWN_LANGUAGE)
    flag, leave, foreign = (next(case for case in CASES if case.expect is expect) for expect in Expect)

    assert (is_right(flag, scores(0.99)), is_right(flag, scores(0.01)), is_right(flag, unread)) == (True, False, False)
    assert (is_right(leave, scores(0.99)), is_right(leave, scores(0.01)), is_right(leave, unread)) == (
        False,
        True,
        False,
    )
    assert (is_right(foreign, scores(0.99)), is_right(foreign, unread)) == (False, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"functionality": "unheard_of"}, "functionality: unheard_of is not in"),
        ({"codes": ["XXX"]}, "codes:"),
        ({"flag": False}, "expects flag"),
        ({"more": 1}, "unknown"),
    ],
)
def test_bad_case_is_refused_by_place(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / suite.FUNCTIONALITIES).write_text('[threat]\nexpect = "flag"\nabout = "x"\n', encoding="utf-8")
    good = {"id": "a", "functionality": "threat", "text": "t", "codes": ["TTL"], "flag": True, "set": None}
    row = good | {"region": "standard", "note": "n"} | change
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")

    with pytest.raises(SuiteError, match=rf"a.jsonl:1: .*{message}"):
        read_suite(tmp_path)
