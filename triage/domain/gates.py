"""Rules of the code book that a decision must pass. The server refuses what they refuse, whatever a page allowed.

The ids (DEC-03 and so on) are those of docs/concepts.md.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from triage.domain.errors import GateClosed
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, NO_VIOLATION, PROTECTED_CONTEXTS, Referable


class PrimarySignal(StrEnum):
    """Signals in the content itself that a veiled threat is one."""

    PAST_VIOLENT_INCIDENT = "past_violent_incident"
    RETALIATION_LANGUAGE = "retaliation_language"
    CALL_TO_ACTION = "call_to_action"
    KNOWLEDGE_OF_WHEREABOUTS = "knowledge_of_whereabouts"
    SYMBOL_TIED_TO_VICTIM = "symbol_tied_to_victim"


class SecondarySignal(StrEnum):
    """Signals independent of the submitter. An assertion by police without material is none."""

    TARGET_FEELS_THREATENED = "target_feels_threatened"
    SECOND_EXPERT_AGREES = "second_expert_agrees"
    PRIOR_CONTENT_MATERIALISED = "prior_content_materialised"
    INDEPENDENT_SOURCE = "independent_source"
    CONTEMPORANEOUS_INCIDENT_LOG = "contemporaneous_incident_log"


class RequestedAction(StrEnum):
    """What the recipient is asked to consider, least intrusive first."""

    REVIEW = "review"
    PRESERVE = "preserve"
    LABEL = "label"
    AGE_RESTRICT = "age_restrict"
    GEO_LIMIT = "geo_limit"
    REMOVE = "remove"


class PossibleChild(StrEnum):
    """Whether the person concerned may be a child. Unknown is treated as a possible child."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a referral may leave: what a recipient, an inspector or a court would ask for."""

    recipient_id: str
    statement_of_reasons: str
    causal_path: str
    necessity: str
    least_intrusive: str
    requested_action: RequestedAction = RequestedAction.REVIEW
    platform_policy_clause: str = ""
    legal_basis: tuple[str, ...] = ()
    primary_signals: tuple[PrimarySignal, ...] = ()
    secondary_signals: tuple[SecondarySignal, ...] = ()
    secondary_source: str = ""
    context_rebuttal: str = ""
    possible_child: PossibleChild = PossibleChild.UNKNOWN
    safeguarding_considered: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision about to be made."""

    outcome: Outcome
    codes: Sequence[str]
    contexts: Sequence[str]
    reasons: str
    grounds: Grounds | None = None
    overrides_first_judgement: bool = field(default=False)


def check(proposal: Proposal) -> None:
    """Let a decision through, or say which rule stands against it.

    Raises:
        GateClosed: with the field and what would open the gate.
    """
    if unknown := [code for code in proposal.codes if code not in CODES]:
        raise GateClosed(f"Unknown policy code {', '.join(unknown)}", field="codes")
    if not proposal.codes:
        raise GateClosed(f"Choose at least one policy code ({NO_VIOLATION} for none)", field="codes")
    if NO_VIOLATION in proposal.codes and len(proposal.codes) > 1:
        raise GateClosed(f"{NO_VIOLATION} cannot stand beside another code", field="codes")
    if proposal.outcome is Outcome.NO_VIOLATION and list(proposal.codes) != [NO_VIOLATION]:
        raise GateClosed(f"No violation means the code {NO_VIOLATION} and no other", field="codes")
    needs_reasons = proposal.outcome is not Outcome.NO_VIOLATION or proposal.overrides_first_judgement
    if needs_reasons and not proposal.reasons.strip():
        raise GateClosed("Write your reasons: this outcome needs them", field="reasons")
    if proposal.outcome is Outcome.REFER:
        if proposal.grounds is None:
            raise GateClosed("A referral needs its grounds", field="grounds")
        _check_codes_allow_referral(proposal.codes)
        _check_grounds(proposal.grounds)
        _check_veiled_threat(proposal.codes, proposal.grounds)
        _check_protected_context(proposal.contexts, proposal.grounds)


def _check_codes_allow_referral(codes: Sequence[str]) -> None:
    """DEC-11: some codes alone never leave the house."""
    never = {Referable.NO, Referable.SUPPORT_ONLY, Referable.NEVER_ALONE}
    if all(CODES[code].referable in never for code in codes):
        raise GateClosed(
            f"{', '.join(codes)} alone is never referred: choose safeguarding, support or no violation", field="outcome"
        )


def _check_grounds(grounds: Grounds) -> None:
    """REF-02, DEC-07: clause or law, reasons, causal path, necessity and the least intrusive option."""
    if not grounds.platform_policy_clause.strip() and not grounds.legal_basis:
        raise GateClosed("Name the platform's policy clause, or a legal basis", field="platform_policy_clause")
    for name in ("statement_of_reasons", "causal_path", "necessity", "least_intrusive"):
        if not getattr(grounds, name).strip():
            raise GateClosed("This is required for a referral", field=name)
    if grounds.possible_child is not PossibleChild.NO and not grounds.safeguarding_considered:
        raise GateClosed(
            "The person may be a child: confirm that safeguarding was considered first", field="safeguarding_considered"
        )


def _check_veiled_threat(codes: Sequence[str], grounds: Grounds) -> None:
    """DEC-03, DEC-04: a veiled threat needs a primary and an independent secondary signal."""
    if not any(CODES[code].referable is Referable.BOTH_SIGNALS for code in codes):
        return
    if not grounds.primary_signals:
        raise GateClosed("A veiled threat needs at least one signal in the content", field="primary_signals")
    if not grounds.secondary_signals or not grounds.secondary_source.strip():
        raise GateClosed(
            "A veiled threat needs a second signal from a named source other than the submitter; "
            "an assertion by police alone counts as none",
            field="secondary_signals",
        )


def _check_protected_context(contexts: Sequence[str], grounds: Grounds) -> None:
    """DEC-06: art, news, counter-speech and grief default to no referral."""
    protected = sorted(PROTECTED_CONTEXTS & set(contexts))
    if protected and not grounds.context_rebuttal.strip():
        raise GateClosed(
            f"The context is {', '.join(protected)}: by default no referral. Write why this case differs",
            field="context_rebuttal",
        )
