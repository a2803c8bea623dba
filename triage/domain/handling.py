"""What people do with a case besides deciding it: put it on hold, hand it to somebody, ask somebody senior."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from triage.domain.errors import InvalidInput
from triage.domain.priority import FIRST_LOOK, in_words
from triage.domain.taxonomy import Tier


class HoldReason(StrEnum):
    """Why a case waits."""

    CAPTURE = "capture"
    REPORTER = "reporter"
    ADVICE = "advice"
    TRANSLATION = "translation"
    OTHER = "other"


class NoteKind(StrEnum):
    """What a person did with a case, with a note."""

    HOLD = "hold"
    ASSIGN = "assign"
    ESCALATE = "escalate"


#: The longest that a case may be put off at once. A threat to life is never put off.
LONGEST_HOLD: Mapping[Tier, timedelta] = {tier: FIRST_LOOK[tier] for tier in Tier if tier is not Tier.P0}
#: For so long a case is kept for the person it was given to, or for the answer of the person who was asked.
KEPT_FOR = timedelta(hours=4)


def check_hold(tier: Tier, *, until: datetime, now: datetime) -> None:
    """Whether a case may wait until then.

    Raises:
        InvalidInput: it is a P0, the time is past, or it is longer than the tier allows; names the field.
    """
    if tier not in LONGEST_HOLD:
        raise InvalidInput("A threat to life is never put on hold: decide, or ask somebody senior", field="until")
    if until <= now:
        raise InvalidInput("Choose a time that is still to come", field="until")
    if until - now > LONGEST_HOLD[tier]:
        raise InvalidInput(f"{tier} may wait {in_words(LONGEST_HOLD[tier])} at most", field="until")
