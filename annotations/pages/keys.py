"""The keys of the review pages and the words beside them, in one place so that no two are the same."""

from triage.domain.desk import Confidence, Verdict
from triage.domain.gates import (
    Likelihood,
    NeedsSecondPerson,
    PastEvent,
    PossibleChild,
    PrimarySignal,
    RequestedAction,
    SecondarySignal,
    SourceKind,
)
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, Referable, SpeechAct, Target

#: Digits for violence and weapons, letters for the rest, 0 for nothing.
CODE_KEYS = {
    "TTL": "1",
    "VTH": "2",
    "INC": "3",
    "RET": "4",
    "WSALE": "5",
    "WDISP": "6",
    "CORR": "7",
    "FIRE": "8",
    "VID": "9",
    "WIT": "i",
    "DOX": "d",
    "SUP": "u",
    "CLR": "l",
    "CUC": "k",
    "MUL": "m",
    "VIC": "h",
    "GPR": "g",
    "OOS": "x",
    "BEN": "0",
}
OUTCOME_KEYS = {
    Outcome.NO_VIOLATION: "v",
    Outcome.SAFEGUARD: "s",
    Outcome.REFER: "r",
    Outcome.ESCALATE: "e",
    Outcome.SECOND_OPINION: "o",
    Outcome.ROUTE_OUT: "w",
    Outcome.RETURN: "b",
}
FIELD_KEYS = {"speech_act": "a", "target": "t", "imminence": "f", "contexts": "c", "reasons": "y"}
PASS_KEY, NEXT_KEY, HELP_KEY = "p", "n", "?"
EVIDENCE_KEY, READING_KEY, TOGETHER_KEY = "z", "q", "j"

OUTCOMES = {
    Outcome.NO_VIOLATION: ("No violation", "Nothing leaves. The case closes."),
    Outcome.SAFEGUARD: ("Safeguarding or support", "Goes to the safeguarding lead."),
    Outcome.REFER: ("Refer", "Others have to read and approve it."),
    Outcome.ESCALATE: (
        "Escalate: threat to life",
        "You phone: this calls nobody.",
    ),
    Outcome.SECOND_OPINION: ("Ask for a second opinion", "Stays open for somebody else."),
    Outcome.ROUTE_OUT: ("Route to another owner", "Out of scope. Say to whom."),
    Outcome.RETURN: ("Return to the submitter", "Say what is missing."),
}

SPEECH_ACTS = {
    SpeechAct.THREAT: "Threatens",
    SpeechAct.INCITEMENT: "Urges others to violence",
    SpeechAct.TAUNT: "Taunts or provokes",
    SpeechAct.CLAIM: "Claims or admits",
    SpeechAct.GLORIFY: "Glorifies",
    SpeechAct.SOLICIT_SELL: "Seeks or sells",
    SpeechAct.RECRUIT: "Recruits",
    SpeechAct.INSTRUCT: "Instructs",
    SpeechAct.DOX: "Locates somebody",
    SpeechAct.DISCLOSE_VICTIMISATION: "Tells of being harmed",
    SpeechAct.GRIEF: "Grieves",
    SpeechAct.DISCUSS_NEWS: "Discusses or reports",
    SpeechAct.COUNTER_SPEECH: "Speaks against violence",
    SpeechAct.ARTISTIC: "Art: lyrics, poetry, performance",
    SpeechAct.FICTION_GAMING: "Fiction or gaming",
    SpeechAct.HYPERBOLE_BANTER: "Exaggerates or jokes",
    SpeechAct.UNCLEAR: "Unclear",
}
TARGETS = {
    Target.NAMED_OR_IDENTIFIABLE_PERSON: "A named or identifiable person",
    Target.IDENTIFIABLE_SMALL_GROUP: "An identifiable small group",
    Target.PLACE_OR_EVENT: "A place or event",
    Target.RIVAL_GROUP_GENERIC: "A rival group, in general",
    Target.NONE: "Nobody",
}
IMMINENCES = {
    Imminence.IMMINENT: "Now or within hours",
    Imminence.NEAR: "Within days",
    Imminence.UNSPECIFIED: "No time given",
    Imminence.HISTORIC: "In the past",
}
REFERABLE = {
    Referable.YES: "May be referred, with its grounds.",
    Referable.BOTH_SIGNALS: "May be referred only with a signal in the content and a second, independent one.",
    Referable.SUPPORT_FIRST: "Safeguarding comes first; a referral may follow.",
    Referable.SUPPORT_ONLY: "Never a referral of the person who wrote it: support only.",
    Referable.PLATFORM_TERMS: "Usually a matter of the platform's own terms. Do not call it unlawful.",
    Referable.OTHER_CHANNEL: "Goes to its own channel: route it out.",
    Referable.NEVER_ALONE: "Never referred by itself.",
    Referable.NO: "Nothing to refer.",
}
PRIMARY_SIGNALS = {
    PrimarySignal.PAST_VIOLENT_INCIDENT: "Refers to a real violent incident in the past",
    PrimarySignal.RETALIATION_LANGUAGE: "Language of retaliation",
    PrimarySignal.CALL_TO_ACTION: "Calls others to act",
    PrimarySignal.KNOWLEDGE_OF_WHEREABOUTS: "Shows knowledge of where somebody is",
    PrimarySignal.SYMBOL_TIED_TO_VICTIM: "A symbol or coded item tied to a victim",
}
SECONDARY_SIGNALS = {
    SecondarySignal.TARGET_FEELS_THREATENED: "The target says they feel threatened",
    SecondarySignal.SECOND_EXPERT_AGREES: "A second qualified expert agrees on the reading",
    SecondarySignal.PRIOR_CONTENT_MATERIALISED: "Earlier content of this account came true",
    SecondarySignal.INDEPENDENT_SOURCE: "An independent source: hospital, school, community partner",
    SecondarySignal.CONTEMPORANEOUS_INCIDENT_LOG: "An incident log of the same time",
}
SECONDARY_SOURCES = {
    SourceKind.TARGET: "The target, or their family",
    SourceKind.COMMUNITY_EXPERT: "A qualified expert in the language and culture",
    SourceKind.HEALTH: "A hospital or health service",
    SourceKind.SCHOOL: "A school or college",
    SourceKind.COMMUNITY_PARTNER: "A community or youth partner",
    SourceKind.INCIDENT_LOG: "An incident log, seen, with its number",
    SourceKind.EARLIER_CASE: "An earlier case here, with its number",
    SourceKind.SUBMITTER: "Whoever submitted the post (counts for nothing alone)",
    SourceKind.POLICE_ASSERTION: "Police, without material (counts for nothing alone)",
}
LIKELIHOODS = {
    Likelihood.ALMOST_CERTAIN: "Almost certain",
    Likelihood.HIGHLY_LIKELY: "Highly likely",
    Likelihood.LIKELY: "Likely",
    Likelihood.REALISTIC_POSSIBILITY: "A realistic possibility (not enough for a referral)",
    Likelihood.UNLIKELY: "Unlikely (not enough for a referral)",
}
PAST_EVENTS = {
    PastEvent.NONE: "No",
    PastEvent.DATED: "Yes, in a month that is known",
    PastEvent.UNDATED: "Yes, not known when (counts as long ago)",
}
SECOND_PERSON = {
    NeedsSecondPerson.PROTECTED_CONTEXT: "The context is art, news, counter-speech or grief",
    NeedsSecondPerson.POSSIBLE_CHILD: "A child may be concerned",
    NeedsSecondPerson.VEILED_THREAT: "It is a veiled threat",
}
VERDICTS = {Verdict.CONFIRMED: "Right", Verdict.REJECTED: "Wrong"}
CONFIDENCES = {Confidence.CERTAIN: "certain", Confidence.LIKELY: "likely", Confidence.GUESS: "a guess"}
#: Of a listed word, by the lexicon's own classes.
AMBIGUITIES = {"high": "The harmless sense is the common one.", "medium": "Fairly specific, and still ambiguous."}
REQUESTED_ACTIONS = {
    RequestedAction.REVIEW: "Review against your own rules",
    RequestedAction.PRESERVE: "Preserve",
    RequestedAction.LABEL: "Label",
    RequestedAction.AGE_RESTRICT: "Restrict by age",
    RequestedAction.GEO_LIMIT: "Limit to places",
    RequestedAction.REMOVE: "Remove",
}
POSSIBLE_CHILD = {
    PossibleChild.YES: "Yes",
    PossibleChild.NO: "No",
    PossibleChild.UNKNOWN: "Not known (treated as a possible child)",
}
SOURCES = {
    "platform": "A platform",
    "force": "A police force",
    "local_authority": "A local authority",
    "charity": "A charity",
    "scrutineer": "A scrutineer",
    "analyst": "A police analyst",
}
