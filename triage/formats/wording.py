"""What the reviewer's own words in a referral may not say. The quoted post is evidence and is not checked."""

import re
from collections.abc import Iterable

from triage.domain.errors import InvalidInput
from triage.domain.gates import Grounds

#: Free text of the grounds that a recipient will read.
OUTGOING = (
    "statement_of_reasons",
    "causal_path",
    "necessity",
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


def check(grounds: Grounds) -> None:
    """Refuse words that label people, and claims of illegality where no legal basis is named.

    Raises:
        InvalidInput: naming the field; the text itself is not quoted.
    """
    texts = [(name, getattr(grounds, name)) for name in OUTGOING]
    _refuse(texts, _LABELS_PEOPLE, "Describe the content, not a person's belonging: reword")
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
