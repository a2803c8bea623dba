"""Policy codes, contexts, tiers and the words of a judgement, read once from ``taxonomy.toml``."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType
from typing import Any


class Tier(StrEnum):
    """How soon a person must look. P0 is a credible imminent threat to life."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"

    @property
    def level(self) -> int:
        """0 (most urgent) to 4."""
        return int(self.value[1])


class SpeechAct(StrEnum):
    """What the post does with its words (axis B of a judgement)."""

    THREAT = "threat"
    INCITEMENT = "incitement"
    TAUNT = "taunt"
    CLAIM = "claim"
    GLORIFY = "glorify"
    SOLICIT_SELL = "solicit_sell"
    RECRUIT = "recruit"
    INSTRUCT = "instruct"
    DOX = "dox"
    DISCLOSE_VICTIMISATION = "disclose_victimisation"
    GRIEF = "grief"
    DISCUSS_NEWS = "discuss_news"
    COUNTER_SPEECH = "counter_speech"
    ARTISTIC = "artistic"
    FICTION_GAMING = "fiction_gaming"
    HYPERBOLE_BANTER = "hyperbole_banter"
    UNCLEAR = "unclear"


class Target(StrEnum):
    """Whom the post is aimed at (axis C)."""

    NAMED_OR_IDENTIFIABLE_PERSON = "named_or_identifiable_person"
    IDENTIFIABLE_SMALL_GROUP = "identifiable_small_group"
    PLACE_OR_EVENT = "place_or_event"
    RIVAL_GROUP_GENERIC = "rival_group_generic"
    NONE = "none"


class Imminence(StrEnum):
    """When it could happen (axis D)."""

    IMMINENT = "imminent"
    NEAR = "near"
    UNSPECIFIED = "unspecified"
    HISTORIC = "historic"


class Referable(StrEnum):
    """What a confirmed code allows; explained at the top of ``taxonomy.toml``."""

    YES = "yes"
    BOTH_SIGNALS = "both_signals"
    SUPPORT_FIRST = "support_first"
    SUPPORT_ONLY = "support_only"
    PLATFORM_TERMS = "platform_terms"
    OTHER_CHANNEL = "other_channel"
    NEVER_ALONE = "never_alone"
    NO = "no"


@dataclass(frozen=True, slots=True)
class PolicyCode:
    """One kind of harm, as the code book words it."""

    code: str
    title: str
    scope: str
    default_tier: Tier
    referable: Referable
    definition: str
    include: str
    exclude: str
    look_alikes: str


@dataclass(frozen=True, slots=True)
class Context:
    """A setting that changes the reading of a post; ``protected`` ones default to no referral."""

    name: str
    title: str
    protected: bool


def _code(code: str, row: dict[str, Any]) -> PolicyCode:
    words = {key: str(row[key]) for key in ("title", "scope", "definition", "include", "exclude", "look_alikes")}
    return PolicyCode(code=code, default_tier=Tier(row["default_tier"]), referable=Referable(row["referable"]), **words)


_book = tomllib.loads(files(__package__).joinpath("taxonomy.toml").read_text(encoding="utf-8"))

VERSION: str = _book["version"]
CODES = MappingProxyType({code: _code(code, row) for code, row in _book["codes"].items()})
CONTEXTS = MappingProxyType({name: Context(name=name, **row) for name, row in _book["contexts"].items()})

NO_VIOLATION = "BEN"
OUT_OF_SCOPE = "OOS"
#: Codes a model scores: all but "no violation" and "another owner", which are a person's conclusions.
SCORED_CODES: tuple[str, ...] = tuple(code for code in CODES if code not in (NO_VIOLATION, OUT_OF_SCOPE))
PROTECTED_CONTEXTS = frozenset(name for name, context in CONTEXTS.items() if context.protected)
