"""What a classifier says about one post. The contract between ``classifiers`` and everything else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class NotAssessed(StrEnum):
    """Why a post has no scores. Never the same as clean: such a case goes to a person."""

    EMPTY = "empty"
    NO_WORDS = "no_words"
    UNKNOWN_LANGUAGE = "unknown_language"
    MODEL_FAILED = "model_failed"
    NO_TEXT = "no_text"
    #: Nobody scores its lane. The post goes on waiting for its scores, and the case goes to a person meanwhile.
    NO_WORKER = "no_worker"


@dataclass(frozen=True, slots=True)
class EvidenceSpan:
    """Where in the original text a signal was seen.

    ``start`` and ``end`` are character offsets (end exclusive) into the post's text as stored, never into
    a normalised copy. ``source`` is ``model`` or ``lexicon``. ``note`` holds, for a lexicon hit, the benign
    readings that must be shown with it, and ``region`` and ``ambiguity`` say how far to trust it: the web process
    does not know the lexicon, so what a reader needs of an entry comes with the hit.
    """

    start: int
    end: int
    code: str
    source: str
    weight: float = 0.0
    note: str = ""
    region: str = ""
    ambiguity: str = ""


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities for one post from one pipeline version.

    ``labels`` maps every code of ``taxonomy.SCORED_CODES`` to a probability in [0, 1]; ``contexts`` does so
    for every context. ``review`` is the probability that a trained moderator would want the post in the
    review queue at all (a possible violation or a person at risk, of any code, another owner's included);
    ``urgent`` that it is a credible, imminent threat to life (P0). All are empty or 0 when
    ``not_assessed`` gives a reason.
    """

    labels: Mapping[str, float] = field(default_factory=dict)
    contexts: Mapping[str, float] = field(default_factory=dict)
    review: float = 0.0
    urgent: float = 0.0
    evidence: tuple[EvidenceSpan, ...] = ()
    not_assessed: NotAssessed | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def assessed(self) -> bool:
        return self.not_assessed is None
