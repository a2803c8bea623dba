"""From scores to a proposal: codes, tier, flagged or not, and the reasons in words.

The rules are data (``policy.toml``); this module only applies them. An assessment is never more than a
proposal: no code path leads from here to an outside effect.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from triage.domain.scores import Scores
from triage.domain.taxonomy import CODES, CONTEXTS, PROTECTED_CONTEXTS, SCORED_CODES, Tier


@dataclass(frozen=True, slots=True)
class CodeRule:
    """``propose``: the probability at which a flagged post gets the code; ``flags``: whether it can ever flag a post.

    A code flags by itself only at the policy's ``code_alone``, which is never below ``propose``.
    """

    propose: float
    tier: Tier
    flags: bool = True


@dataclass(frozen=True, slots=True)
class Uplift:
    """``code`` proposed with any of ``together_with`` is at least as urgent as ``tier``."""

    code: str
    together_with: frozenset[str]
    tier: Tier
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the policy file. ``recall`` is what the thresholds were chosen for, by name."""

    version: str
    recall: Mapping[str, float]
    review_threshold: float
    code_alone: float
    urgent_threshold: float
    urgent_codes: frozenset[str]
    not_assessed_tier: Tier
    no_code_tier: Tier
    context_mention: float
    codes: Mapping[str, CodeRule]
    uplifts: tuple[Uplift, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the policy makes of the scores. Only ever a proposal.

    ``flagged``: in front of a moderator as a possible violation or a person at risk. ``risk`` in [0, 1]
    orders cases of one tier.
    """

    codes: tuple[str, ...]
    tier: Tier
    flagged: bool
    assessed: bool
    risk: float
    reasons: tuple[str, ...]
    policy_version: str


def parse(text: str) -> Policy:
    """Read a policy file.

    Raises:
        ValueError: a scored code has no rule, a code is unknown, a threshold lies outside (0, 1], or a code would
            flag before it is proposed.
    """
    data: dict[str, Any] = tomllib.loads(text)
    rules = {
        code: CodeRule(propose=float(row["propose"]), tier=Tier(row["tier"]), flags=bool(row.get("flags", True)))
        for code, row in data["codes"].items()
    }
    if missing := set(SCORED_CODES) - set(rules):
        raise ValueError(f"policy: no rule for {', '.join(sorted(missing))}")
    if unknown := set(rules) - set(SCORED_CODES):
        raise ValueError(f"policy: unknown code {', '.join(sorted(unknown))}")
    thresholds = {code: rule.propose for code, rule in rules.items()} | {
        "flag.review": float(data["flag"]["review"]),
        "flag.code_alone": float(data["flag"]["code_alone"]),
        "urgent.threshold": float(data["urgent"]["threshold"]),
        "context.mention": float(data["context"]["mention"]),
    }
    for name, threshold in thresholds.items():
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"policy: {name} is {threshold}, must be above 0 and at most 1")
    if late := [code for code, rule in rules.items() if rule.flags and rule.propose > thresholds["flag.code_alone"]]:
        raise ValueError(f"policy: flag.code_alone is below the threshold of {', '.join(late)}")
    return Policy(
        version=str(data["version"]),
        recall={name: float(share) for name, share in data["recall"].items()},
        review_threshold=thresholds["flag.review"],
        code_alone=thresholds["flag.code_alone"],
        urgent_threshold=thresholds["urgent.threshold"],
        urgent_codes=frozenset(data["urgent"]["codes"]),
        not_assessed_tier=Tier(data["not_assessed"]["tier"]),
        no_code_tier=Tier(data["no_code"]["tier"]),
        context_mention=thresholds["context.mention"],
        codes=rules,
        uplifts=tuple(
            Uplift(row["code"], frozenset(row["with"]), Tier(row["tier"]), row["reason"])
            for row in data.get("uplift", [])
        ),
    )


CURRENT = parse(files(__package__).joinpath("policy.toml").read_text(encoding="utf-8"))


def assess(scores: Scores, policy: Policy = CURRENT) -> Assessment:
    """Apply ``policy`` to one post's scores."""
    if not scores.assessed:
        return Assessment(
            codes=(),
            tier=policy.not_assessed_tier,
            flagged=True,
            assessed=False,
            risk=0.5,
            reasons=(f"Not assessed ({scores.not_assessed}): the machine has no opinion, a person must read it",),
            policy_version=policy.version,
        )
    flagged = scores.review >= policy.review_threshold or any(
        rule.flags and scores.labels[code] >= policy.code_alone for code, rule in policy.codes.items()
    )
    proposed = sorted(
        (
            code
            for code, rule in policy.codes.items()
            if scores.labels[code] >= rule.propose and (flagged or not rule.flags)
        ),
        key=lambda code: (policy.codes[code].tier, -scores.labels[code]),
    )
    tier, tier_reasons = _tier(proposed, flagged, scores, policy)
    reasons = [f"{CODES[code].title}: {scores.labels[code]:.0%}" for code in proposed]
    if flagged and not proposed:
        reasons.append(f"Worth a look as a whole: {scores.review:.0%}, no single code stands out")
    if not flagged:
        reasons.append(f"Nothing reached its threshold (whole post {scores.review:.0%})")
    return Assessment(
        codes=tuple(proposed),
        tier=tier,
        flagged=flagged,
        assessed=True,
        risk=max([scores.review, *(scores.labels[code] for code in proposed)]),
        reasons=(*reasons, *tier_reasons, *_context_reasons(scores, policy)),
        policy_version=policy.version,
    )


def _tier(proposed: list[str], flagged: bool, scores: Scores, policy: Policy) -> tuple[Tier, list[str]]:
    if not flagged:
        return Tier.P4, []
    tier = min((policy.codes[code].tier for code in proposed), default=policy.no_code_tier)
    tier = min(tier, policy.no_code_tier) if scores.review >= policy.review_threshold else tier
    reasons = []
    for uplift in policy.uplifts:
        if uplift.code in proposed and uplift.together_with & set(proposed) and uplift.tier < tier:
            tier = uplift.tier
            reasons.append(uplift.reason)
    if scores.urgent >= policy.urgent_threshold and policy.urgent_codes & set(proposed):
        tier = Tier.P0
        reasons.append(f"Imminent: {scores.urgent:.0%}")
    return tier, reasons


def _context_reasons(scores: Scores, policy: Policy) -> list[str]:
    seen = sorted(
        (name for name, probability in scores.contexts.items() if probability >= policy.context_mention),
        key=lambda name: -scores.contexts[name],
    )
    return [
        f"Reads as {CONTEXTS[name].title.lower()}: {scores.contexts[name]:.0%}"
        + (", by default no referral" if name in PROTECTED_CONTEXTS else "")
        for name in seen
    ]
