"""Which queue a case goes to: ordered rules, kept as data in ``queues.toml``, the first that fits decides.

A queue says who should read and how soon. It never says what the machine thinks of a post, unless it was declared to:
a reader who knows that is no longer an independent one (``docs/decisions/0011-queues.md``).
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from triage.domain.taxonomy import CODES, CONTEXTS, Tier
from triage.domain.words import AcquisitionMode, PartnerKind, Purpose


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a case when it is put into a queue. Sets hold what is true of any of its reports."""

    tier: Tier
    assessed: bool
    platform: str
    language: str | None = None
    urgent: bool = False
    purposes: frozenset[str] = frozenset()
    acquisition: frozenset[str] = frozenset()
    partner_kinds: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    contexts: frozenset[str] = frozenset()


Rule = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue. ``discloses``: its name tells the reader something of the machine's opinion."""

    name: str
    title: str
    about: str
    rules: tuple[Rule, ...]
    discloses: bool = False

    def takes(self, facts: Facts) -> bool:
        """Whether a case goes here, if no queue before this one takes it. Without rules it takes all."""
        if not self.rules:
            return True
        return any(all(_READ[key](facts) & wanted for key, wanted in rule.items()) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Queues:
    """One version of the file. The first queue takes P0 and nothing else, the last takes what is left."""

    version: str
    queues: tuple[Queue, ...]

    @property
    def by_name(self) -> dict[str, Queue]:
        return {queue.name: queue for queue in self.queues}

    @property
    def reads_contexts(self) -> bool:
        return any("contexts" in rule for queue in self.queues for rule in queue.rules)


def _said(value: bool) -> frozenset[str]:
    return frozenset({"true" if value else "false"})


def _language(facts: Facts) -> frozenset[str]:
    tag = (facts.language or "").lower()
    return frozenset({tag, tag.split("-")[0]} - {""})


#: What a rule may name, and how it is read off a case.
_READ: dict[str, Callable[[Facts], frozenset[str]]] = {
    "tier": lambda facts: frozenset({str(facts.tier)}),
    "assessed": lambda facts: _said(facts.assessed),
    "urgent": lambda facts: _said(facts.urgent),
    "purpose": lambda facts: facts.purposes,
    "acquisition": lambda facts: facts.acquisition,
    "partner_kind": lambda facts: facts.partner_kinds,
    "platform": lambda facts: frozenset({facts.platform}),
    "language": _language,
    "codes": lambda facts: facts.codes,
    "contexts": lambda facts: facts.contexts,
}
_OPINIONS = frozenset({"codes", "contexts"})
_KNOWN: dict[str, Iterable[str]] = {
    "tier": [str(tier) for tier in Tier],
    "assessed": ["true", "false"],
    "urgent": ["true", "false"],
    "purpose": [str(purpose) for purpose in Purpose],
    "acquisition": [str(mode) for mode in AcquisitionMode],
    "partner_kind": [str(kind) for kind in PartnerKind],
    "codes": list(CODES),
    "contexts": list(CONTEXTS),
}


def parse(text: str) -> Queues:
    """Read a file of queues.

    Raises:
        ValueError: P0 is not the first queue, the last one has rules or another has none, a name is used twice, a rule
            names what no case can have, or one reads the machine's opinion for a queue that does not say so.
    """
    data: dict[str, Any] = tomllib.loads(text)
    queues = tuple(_queue(row) for row in data["queue"])
    names = [queue.name for queue in queues]
    if len(set(names)) < len(names):
        raise ValueError("queues: a name is used twice")
    if queues[0].rules != ({"tier": frozenset({"P0"})},):
        raise ValueError("queues: the first takes P0 and nothing else, so that nothing goes before a life")
    if queues[-1].rules or not all(queue.rules for queue in queues[:-1]):
        raise ValueError("queues: the last has no rules and takes the rest; every other has some")
    return Queues(str(data["version"]), queues)


def _queue(row: Mapping[str, Any]) -> Queue:
    rules = tuple(_rule(row["name"], rule) for rule in row.get("rules", ()))
    discloses = bool(row.get("discloses", False))
    if not discloses and any(_OPINIONS & set(rule) for rule in rules):
        raise ValueError(f"queues: {row['name']} sorts by what the machine proposes and does not say `discloses`")
    return Queue(str(row["name"]), str(row["title"]), str(row["about"]), rules, discloses)


def _rule(name: str, row: Mapping[str, list[Any]]) -> Rule:
    rule = {
        key: frozenset(str(value).lower() if isinstance(value, bool) else value for value in row[key]) for key in row
    }
    if not rule:
        raise ValueError(f"queues: a rule of {name} is empty")
    for key, values in rule.items():
        if key not in _READ:
            raise ValueError(f"queues: {name} names {key}, which no rule can read")
        if unknown := values - set(_KNOWN.get(key, values)):
            raise ValueError(f"queues: {name} names the unknown {key} {', '.join(sorted(unknown))}")
    return rule


CURRENT = parse(files(__package__).joinpath("queues.toml").read_text(encoding="utf-8"))


def route(facts: Facts, queues: Queues = CURRENT) -> Queue:
    """The queue a case goes to. There always is one."""
    return next(queue for queue in queues.queues if queue.takes(facts))
