"""What the reviewer's own words in a referral may not say. The quoted post is evidence and is not checked."""

import re
from collections.abc import Iterable

from triage.domain.errors import InvalidInput
from triage.domain.gates import Grounds

#: Free text of the grounds that a recipient will read.
OUTGOING = (
    "statement_of_reasons",
    "causal_path",
    "facts",
    "necessity",
    "proportionality",
    "least_intrusive",
    "platform_policy_clause",
    "context_rebuttal",
)

#: DEC-08: content is described, people are not classified.
_LABELS_PEOPLE = re.compile(
    r"\b(?:gang[\s-]+(?:member|nominal|associate)s?|nominals?|known associates?|affiliat\w+)\b", re.I
)
_CLAIMS_ILLEGALITY = re.compile(
    r"\b(?:illegal\w*|unlawful\w*|against the law|(?:breaks|broke|breaches) the law|criminal offences?)\b", re.I
)
#: DEC-07: what could happen is below the threshold, and `likely` is chosen from a list beside this text.
_BELOW_LIKELY = re.compile(r"\b(?:could|might|potential(?:ly)?|possibl[ey]|possibility)\b", re.I)


def check_neutral(text: str, field: str) -> None:
    """DEC-08, for words that stay inside. Raises InvalidInput naming the field; the text itself is not quoted."""
    _refuse([(field, text)], _LABELS_PEOPLE, "Describe the content, not a person's belonging: reword")


def check(grounds: Grounds) -> None:
    """Refuse words that label people, harm that is only possible, and illegality where no legal basis is named.

    Raises:
        InvalidInput: naming the field; the text itself is not quoted.
    """
    texts = [(name, getattr(grounds, name)) for name in OUTGOING]
    _refuse(texts, _LABELS_PEOPLE, "Describe the content, not a person's belonging: reword")
    _refuse(
        [("causal_path", grounds.causal_path)],
        _BELOW_LIKELY,
        "What could or might happen is below the threshold: say what is likely, and why",
    )
    if not grounds.legal_basis:
        _refuse(
            texts,
            _CLAIMS_ILLEGALITY,
            "You name no legal basis, so this referral may not speak of illegality (the export itself says that none "
            "is alleged): reword, or choose a legal basis",
        )


def _refuse(texts: Iterable[tuple[str, str]], pattern: re.Pattern[str], why: str) -> None:
    for name, text in texts:
        if pattern.search(text):
            raise InvalidInput(why, field=name)
