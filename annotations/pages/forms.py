"""What somebody typed, and how it becomes a view, grounds or an error that names its field."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from starlette.datastructures import FormData

from annotations.review import View
from triage.db import Judgement
from triage.domain.errors import TriageError
from triage.domain.gates import (
    Grounds,
    Likelihood,
    PastEvent,
    PossibleChild,
    PrimarySignal,
    RequestedAction,
    SecondarySignal,
    SourceKind,
)
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, CONTEXTS, NO_VIOLATION, Imminence, SpeechAct, Target
from triage.new_report import storable

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One line of the error summary; ``field`` is the id of the control it links to."""

    field: str
    message: str


class Incomplete(Exception):
    """The form cannot be used yet. Everything that is wrong at once, so that it is mended at once."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} fields")
        self.errors = list(errors)


#: The gates refuse these one at a time; the form says all that is missing at once.
_GROUNDS_MISSING = {
    "facts": "Write what is in the post, as fact",
    "statement_of_reasons": "Write what you make of it",
    "causal_path": "Say how the post leads to harm",
    "likelihood": "Say how likely that is",
    "necessity": "Say why a referral is needed",
    "proportionality": "Say why it is in proportion",
    "least_intrusive": "Say why nothing less would do",
}
#: The same for what comes first where a child may be concerned.
_CHILD_MISSING = {
    "safeguarding_considered": "A child may be concerned: confirm that safeguarding was considered first",
    "safeguarding_note": "Say what was considered to safeguard the child, and the result",
}


def as_errors(error: TriageError) -> list[FieldError]:
    """A refusal of a rule, as a line of the error summary."""
    return [FieldError(error.field or "outcome", error.detail)]


@dataclass(frozen=True, slots=True)
class Typed:
    """The values of a form by name, kept so that nothing typed is lost when the form comes back."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, form: FormData) -> "Typed":
        return cls({name: [storable(value) for value in form.getlist(name) if isinstance(value, str)] for name in form})

    @classmethod
    def of_judgement(cls, judgement: Judgement) -> "Typed":
        return cls(
            {
                "codes": judgement.codes,
                "speech_act": [judgement.speech_act],
                "target": [judgement.target],
                "imminence": [judgement.imminence],
                "contexts": judgement.contexts,
            }
        )

    def one(self, name: str) -> str:
        return next(iter(self.values.get(name, ())), "").strip()

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(self.values.get(name, ()))


def read_view(typed: Typed) -> View:
    """The five axes.

    "No violation" needs no more than itself: what it leaves open is filled in as unclear, nobody, no time.

    Raises:
        Incomplete: naming every axis that was left out.
    """
    codes = tuple(code for code in typed.many("codes") if code in CODES)
    harmless = codes == (NO_VIOLATION,)
    errors: list[FieldError] = []
    if not codes:
        errors.append(FieldError("codes", "Choose at least one code, or No violation"))

    def choose(name: str, kinds: type[E], default: E, message: str) -> E:
        if typed.one(name) in [str(kind) for kind in kinds]:
            return kinds(typed.one(name))
        if not harmless:
            errors.append(FieldError(name, message))
        return default

    view = View(
        codes=codes,
        speech_act=choose("speech_act", SpeechAct, SpeechAct.UNCLEAR, "Say what the post does"),
        target=choose("target", Target, Target.NONE, "Say whom it is aimed at, or Nobody"),
        imminence=choose("imminence", Imminence, Imminence.UNSPECIFIED, "Say how soon, or No time given"),
        contexts=tuple(name for name in typed.many("contexts") if name in CONTEXTS),
    )
    if errors:
        raise Incomplete(errors)
    return view


def read_outcome(typed: Typed) -> Outcome:
    """Raises Incomplete when no outcome was chosen."""
    try:
        return Outcome(typed.one("outcome"))
    except ValueError:
        raise Incomplete([FieldError("outcome", "Choose an outcome")]) from None


def read_grounds(typed: Typed, recipient_ids: Sequence[str]) -> Grounds:
    """The grounds of a referral; the rules about them are in ``triage.domain.gates``.

    Raises:
        Incomplete: no recipient, or one that does not exist; or a part of the reasoning is missing.
    """
    errors = [FieldError(name, message) for name, message in _GROUNDS_MISSING.items() if not typed.one(name)]
    if typed.one("recipient_id") not in recipient_ids:
        errors.insert(0, FieldError("recipient_id", "Choose who receives the referral"))
    if read_possible_child(typed) is not PossibleChild.NO:
        errors = [FieldError(name, words) for name, words in _CHILD_MISSING.items() if not typed.one(name)] + errors
    if errors:
        raise Incomplete(errors)
    return Grounds(
        recipient_id=typed.one("recipient_id"),
        statement_of_reasons=typed.one("statement_of_reasons"),
        causal_path=typed.one("causal_path"),
        necessity=typed.one("necessity"),
        least_intrusive=typed.one("least_intrusive"),
        requested_action=one_of(typed, "requested_action", RequestedAction, RequestedAction.REVIEW),
        platform_policy_clause=typed.one("platform_policy_clause"),
        legal_basis=typed.many("legal_basis"),
        primary_signals=_some_of(typed, "primary_signals", PrimarySignal),
        secondary_signals=_some_of(typed, "secondary_signals", SecondarySignal),
        secondary_source=typed.one("secondary_source"),
        context_rebuttal=typed.one("context_rebuttal"),
        possible_child=one_of(typed, "possible_child", PossibleChild, PossibleChild.UNKNOWN),
        safeguarding_considered=typed.one("safeguarding_considered") == "yes",
        safeguarding_note=typed.one("safeguarding_note"),
        facts=typed.one("facts"),
        proportionality=typed.one("proportionality"),
        likelihood=one_of(typed, "likelihood", Likelihood, Likelihood.NOT_STATED),
        past_event=one_of(typed, "past_event", PastEvent, PastEvent.NONE),
        past_event_month=typed.one("past_event_month"),
        past_event_evidence=typed.one("past_event_evidence"),
        secondary_sources=_some_of(typed, "secondary_sources", SourceKind),
    )


def read_possible_child(typed: Typed) -> PossibleChild:
    """Whether a child may be concerned; not said is not known, which counts as a possible child."""
    return one_of(typed, "possible_child", PossibleChild, PossibleChild.UNKNOWN)


def one_of(typed: Typed, name: str, kinds: Callable[[str], E], default: E) -> E:
    try:
        return kinds(typed.one(name))
    except ValueError:
        return default


def _some_of(typed: Typed, name: str, kinds: type[E]) -> tuple[E, ...]:
    known = [str(kind) for kind in kinds]
    return tuple(kinds(value) for value in typed.many(name) if value in known)
