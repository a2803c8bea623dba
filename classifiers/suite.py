"""The functional test suite: named things a good classifier can do, each with hand-written posts that show whether
it can.

In the style of HateCheck (Röttger et al. 2021). ``suite/functionalities.toml`` names and explains them,
``suite/*.jsonl`` holds the cases, written by other hands than the training text. Never learned from.
"""

import json
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from triage.domain import policy
from triage.domain.scores import Scores
from triage.domain.taxonomy import CODES

SUITE_DIR = Path(__file__).parent / "suite"
FUNCTIONALITIES = "functionalities.toml"
FIELDS = frozenset({"id", "functionality", "text", "codes", "flag", "set", "region", "note"})


class Expect(StrEnum):
    """What is right for a functionality's cases."""

    FLAG = "flag"
    LEAVE = "leave"
    NOT_ASSESSED = "not_assessed"


class SuiteError(ValueError):
    """A file of the suite breaks its format; the message names file, line and field."""


@dataclass(frozen=True, slots=True)
class Functionality:
    name: str
    expect: Expect
    about: str


@dataclass(frozen=True, slots=True)
class Case:
    """One post; ``contrast_set`` names the pair or set it belongs to, over functionalities, or is None."""

    id: str
    functionality: str
    text: str
    codes: frozenset[str]
    expect: Expect
    contrast_set: str | None
    region: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one functionality did: of ``cases`` so many were ``right``; ``wrong`` names the others."""

    functionality: Functionality
    cases: int
    right: int
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.right / self.cases


def read_functionalities(directory: Path = SUITE_DIR) -> dict[str, Functionality]:
    """The functionalities by name, in the order of the file."""
    rows = tomllib.loads((directory / FUNCTIONALITIES).read_text(encoding="utf-8"))
    return {name: Functionality(name, Expect(row["expect"]), row["about"]) for name, row in rows.items()}


def read_suite(directory: Path = SUITE_DIR) -> list[Case]:
    """Every case.

    Raises:
        SuiteError: a line is not in the format, names no known functionality, or contradicts what it expects.
    """
    functionalities = read_functionalities(directory)
    cases: list[Case] = []
    seen: set[str] = set()
    for path in sorted(directory.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            case = _parse(line, functionalities, f"{path.name}:{number}")
            if case.id in seen:
                raise SuiteError(f"{path.name}:{number}: id {case.id} occurs twice")
            seen.add(case.id)
            cases.append(case)
    return cases


def _parse(line: str, functionalities: dict[str, Functionality], where: str) -> Case:
    row = json.loads(line)
    if set(row) != FIELDS:
        raise SuiteError(f"{where}: missing {sorted(FIELDS - set(row))}, unknown {sorted(set(row) - FIELDS)}")
    functionality = functionalities.get(row["functionality"])
    if functionality is None:
        raise SuiteError(f"{where}: functionality: {row['functionality']} is not in {FUNCTIONALITIES}")
    if not row["codes"] or set(row["codes"]) - set(CODES):
        raise SuiteError(f"{where}: codes: {row['codes']}")
    if functionality.expect is not Expect.NOT_ASSESSED and row["flag"] is not (functionality.expect is Expect.FLAG):
        raise SuiteError(f"{where}: flag: {row['flag']}, but {functionality.name} expects {functionality.expect}")
    return Case(
        id=row["id"],
        functionality=functionality.name,
        text=row["text"],
        codes=frozenset(row["codes"]),
        expect=functionality.expect,
        contrast_set=row["set"],
        region=row["region"],
    )


def is_right(case: Case, scores: Scores) -> bool:
    """Whether the pipeline and the policy in force do with the case what is expected."""
    if case.expect is Expect.NOT_ASSESSED or not scores.assessed:
        return case.expect is Expect.NOT_ASSESSED and not scores.assessed
    return policy.assess(scores).flagged is (case.expect is Expect.FLAG)


def by_functionality(cases: Sequence[Case], scores: Sequence[Scores]) -> list[Outcome]:
    """The outcome of every functionality, in the order of the file."""
    right: dict[str, list[bool]] = defaultdict(list)
    wrong: dict[str, list[str]] = defaultdict(list)
    for case, said in zip(cases, scores, strict=True):
        ok = is_right(case, said)
        right[case.functionality].append(ok)
        if not ok:
            wrong[case.functionality].append(case.id)
    return [
        Outcome(functionality, len(right[name]), sum(right[name]), tuple(wrong[name]))
        for name, functionality in read_functionalities().items()
        if right[name]
    ]


def sets_exactly_right(cases: Sequence[Case], scores: Sequence[Scores]) -> tuple[int, int]:
    """In how many contrast sets every case was right, and how many sets there are."""
    sets: dict[str, list[bool]] = defaultdict(list)
    for case, said in zip(cases, scores, strict=True):
        if case.contrast_set:
            sets[case.contrast_set].append(is_right(case, said))
    whole = [all(answers) for answers in sets.values() if len(answers) > 1]
    return sum(whole), len(whole)
