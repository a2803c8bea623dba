"""Small closed lists of what a reader adds at the desk: verdicts on the machine's reasons, and readings of a term."""

from enum import StrEnum


class Verdict(StrEnum):
    """What a reader makes of one thing that the machine pointed at."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Confidence(StrEnum):
    """How sure a reader is of a reading."""

    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


class PassReason(StrEnum):
    """Why a case was passed on, where the reader cares to say. No reason counts against anybody."""

    DIALECT = "dialect"
