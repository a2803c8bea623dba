"""Rules of the code book that a decision must pass. The server refuses what they refuse, whatever a page allowed.

The ids (DEC-03 and so on) are those of docs/decision-rules.md, which says where the database holds each of them too.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
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


class SourceKind(StrEnum):
    """Who or what a secondary signal comes from. The last two may be named, but stand for nothing by themselves."""

    TARGET = "target"
    COMMUNITY_EXPERT = "community_expert"
    HEALTH = "health"
    SCHOOL = "school"
    COMMUNITY_PARTNER = "community_partner"
    INCIDENT_LOG = "incident_log"
    EARLIER_CASE = "earlier_case"
    SUBMITTER = "submitter"
    POLICE_ASSERTION = "police_assertion"


#: DEC-04: who reports a post cannot also be the one who says what it means.
NOT_INDEPENDENT = frozenset({SourceKind.SUBMITTER, SourceKind.POLICE_ASSERTION})


class Likelihood(StrEnum):
    """How likely the harm is, in the words of the professional yardstick for probability."""

    NOT_STATED = "not_stated"
    UNLIKELY = "unlikely"
    REALISTIC_POSSIBILITY = "realistic_possibility"
    LIKELY = "likely"
    HIGHLY_LIKELY = "highly_likely"
    ALMOST_CERTAIN = "almost_certain"


#: DEC-07: what may or might happen is no ground for a referral.
LIKELY_ENOUGH = frozenset({Likelihood.LIKELY, Likelihood.HIGHLY_LIKELY, Likelihood.ALMOST_CERTAIN})


class PastEvent(StrEnum):
    """Whether the reading of a post rests on something that happened before it."""

    NONE = "none"
    DATED = "dated"
    UNDATED = "undated"


class Tag(StrEnum):
    """What a statement is (DPA 2018 s.38)."""

    FACT = "fact"
    ASSESSMENT = "assessment"


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
    #: What was considered, and what came of it.
    safeguarding_note: str = ""
    #: What the post says and what is known, without a reading of it.
    facts: str = ""
    proportionality: str = ""
    likelihood: Likelihood = Likelihood.NOT_STATED
    past_event: PastEvent = PastEvent.NONE
    #: ``YYYY-MM``, for a dated past event.
    past_event_month: str = ""
    #: What, besides the reference to it, speaks for a threat now.
    past_event_evidence: str = ""
    secondary_sources: tuple[SourceKind, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


#: DEC-02: what each statement of the grounds is. A recipient and an approver see the tag beside it.
STATEMENTS: Mapping[str, Tag] = MappingProxyType(
    {
        "facts": Tag.FACT,
        "statement_of_reasons": Tag.ASSESSMENT,
        "causal_path": Tag.ASSESSMENT,
        "necessity": Tag.ASSESSMENT,
        "proportionality": Tag.ASSESSMENT,
        "least_intrusive": Tag.ASSESSMENT,
        "context_rebuttal": Tag.ASSESSMENT,
        "past_event_evidence": Tag.FACT,
        "secondary_source": Tag.FACT,
        "safeguarding_note": Tag.FACT,
    }
)
#: Those without which nothing is referred.
REQUIRED = ("facts", "statement_of_reasons", "causal_path", "necessity", "proportionality", "least_intrusive")


#: DEC-11: codes of these kinds alone never leave the house.
NEVER_LEAVE = frozenset({Referable.NO, Referable.SUPPORT_ONLY, Referable.NEVER_ALONE})


class NeedsSecondPerson(StrEnum):
    """Why a referral needs a second reader before it comes to the approver."""

    PROTECTED_CONTEXT = "protected_context"
    POSSIBLE_CHILD = "possible_child"
    VEILED_THREAT = "veiled_threat"


def second_person(
    codes: Collection[str], contexts: Collection[str], possible_child: PossibleChild
) -> list[NeedsSecondPerson]:
    """Why somebody besides reviewer and approver has to read the post; empty when nobody has to."""
    found = {
        NeedsSecondPerson.PROTECTED_CONTEXT: bool(PROTECTED_CONTEXTS & set(contexts)),
        NeedsSecondPerson.POSSIBLE_CHILD: possible_child is not PossibleChild.NO,
        NeedsSecondPerson.VEILED_THREAT: _veiled(codes),
    }
    return [why for why, holds in found.items() if holds]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision about to be made."""

    outcome: Outcome
    codes: Sequence[str]
    contexts: Sequence[str]
    reasons: str
    grounds: Grounds | None = None
    overrides_first_judgement: bool = field(default=False)


def check(proposal: Proposal, *, on: date, old_event_months: int = 12) -> None:
    """Let a decision through, or say which rule stands against it.

    Args:
        on: today, against which the age of a past event is measured.
        old_event_months: an event further back needs evidence besides the reference to it. At most 12.

    Raises:
        GateClosed: with the field and what would open the gate.
    """
    _check_codes(proposal)
    needs_reasons = proposal.outcome is not Outcome.NO_VIOLATION or proposal.overrides_first_judgement
    if needs_reasons and not proposal.reasons.strip():
        raise GateClosed("Write your reasons: this outcome needs them", field="reasons")
    if proposal.outcome is Outcome.REFER:
        if proposal.grounds is None:
            raise GateClosed("A referral needs its grounds", field="grounds")
        _check_codes_allow_referral(proposal.codes)
        _check_child_first(proposal.grounds)
        _check_grounds(proposal.grounds)
        _check_veiled_threat(proposal.codes, proposal.grounds)
        _check_past_event(proposal.grounds, on, old_event_months)
        _check_protected_context(proposal.contexts, proposal.grounds)


def _check_codes(proposal: Proposal) -> None:
    if unknown := [code for code in proposal.codes if code not in CODES]:
        raise GateClosed(f"Unknown policy code {', '.join(unknown)}", field="codes")
    if not proposal.codes:
        raise GateClosed(f"Choose at least one policy code ({NO_VIOLATION} for none)", field="codes")
    if NO_VIOLATION in proposal.codes and len(proposal.codes) > 1:
        raise GateClosed(f"{NO_VIOLATION} cannot stand beside another code", field="codes")
    if proposal.outcome is Outcome.NO_VIOLATION and list(proposal.codes) != [NO_VIOLATION]:
        raise GateClosed(f"No violation means the code {NO_VIOLATION} and no other", field="codes")


def _check_codes_allow_referral(codes: Sequence[str]) -> None:
    """DEC-11: some codes alone never leave the house."""
    if all(CODES[code].referable in NEVER_LEAVE for code in codes):
        raise GateClosed(
            f"{', '.join(codes)} alone is never referred: choose safeguarding, support or no violation", field="outcome"
        )


def _check_child_first(grounds: Grounds) -> None:
    """CHI-01, CHI-02: where a child may be concerned, safeguarding comes before anything else, and is written down."""
    if grounds.possible_child is PossibleChild.NO:
        return
    if not grounds.safeguarding_considered:
        raise GateClosed(
            "The person may be a child: confirm that safeguarding was considered first", field="safeguarding_considered"
        )
    if not grounds.safeguarding_note.strip():
        raise GateClosed("Write what was considered to safeguard the child, and the result", field="safeguarding_note")


def _check_grounds(grounds: Grounds) -> None:
    """REF-02, DEC-02, DEC-07: clause or law, facts and reasons, causal path, likelihood, necessity, proportion."""
    if not grounds.platform_policy_clause.strip() and not grounds.legal_basis:
        raise GateClosed("Name the platform's policy clause, or a legal basis", field="platform_policy_clause")
    for name in REQUIRED:
        if not getattr(grounds, name).strip():
            raise GateClosed("This is required for a referral", field=name)
    if grounds.likelihood not in LIKELY_ENOUGH:
        raise GateClosed(
            "Say how likely the harm is. Below 'likely' a referral is not necessary: choose another outcome",
            field="likelihood",
        )


def _check_veiled_threat(codes: Sequence[str], grounds: Grounds) -> None:
    """DEC-03, DEC-04: a veiled threat needs a primary and an independent secondary signal."""
    if not _veiled(codes):
        return
    if not grounds.primary_signals:
        raise GateClosed("A veiled threat needs at least one signal in the content", field="primary_signals")
    if not grounds.secondary_signals or not grounds.secondary_source.strip():
        raise GateClosed(
            "A veiled threat needs a second signal from a named source other than the submitter; "
            "an assertion by police alone counts as none",
            field="secondary_signals",
        )
    if not set(grounds.secondary_sources) - NOT_INDEPENDENT:
        raise GateClosed(
            "The second signal needs a source that is independent: neither the submitter's word nor an assertion by "
            "police without material is one",
            field="secondary_sources",
        )


def _check_past_event(grounds: Grounds, on: date, old_event_months: int) -> None:
    """DEC-05: an old incident is no threat by itself."""
    if grounds.past_event is PastEvent.NONE:
        if PrimarySignal.PAST_VIOLENT_INCIDENT in grounds.primary_signals:
            raise GateClosed("You name a past incident as a signal: say when it was", field="past_event")
        return
    if grounds.past_event is PastEvent.DATED and not _is_month(grounds.past_event_month, on):
        raise GateClosed("Write year and month of the past event, as in 2026-03", field="past_event_month")
    if is_old(grounds, on, old_event_months) and not grounds.past_event_evidence.strip():
        raise GateClosed(
            f"The event is more than {old_event_months} months back, or not dated: write what, besides the reference "
            "to it, shows a threat now (earlier content that came true, a report from the target)",
            field="past_event_evidence",
        )


def is_old(grounds: Grounds, on: date, old_event_months: int) -> bool:
    """Whether the past event that a reading rests on is too far back to stand alone; not dated counts as old."""
    if grounds.past_event is not PastEvent.DATED:
        return grounds.past_event is PastEvent.UNDATED
    year, month = map(int, grounds.past_event_month.split("-"))
    return (on.year - year) * 12 + on.month - month > old_event_months


def _is_month(typed: str, on: date) -> bool:
    """A month that is not still to come."""
    return bool(re.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])", typed)) and typed <= f"{on:%Y-%m}"


def _veiled(codes: Collection[str]) -> bool:
    return any(CODES[code].referable is Referable.BOTH_SIGNALS for code in codes)


def _check_protected_context(contexts: Sequence[str], grounds: Grounds) -> None:
    """DEC-06: art, news, counter-speech and grief default to no referral."""
    protected = sorted(PROTECTED_CONTEXTS & set(contexts))
    if protected and not grounds.context_rebuttal.strip():
        raise GateClosed(
            f"The context is {', '.join(protected)}: by default no referral. Write why this case differs",
            field="context_rebuttal",
        )
