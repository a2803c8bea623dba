"""From text to ``Scores``: normalise, look up the lexicon, run the model, calibrate, point at the words.

A process loads one ``Pipeline`` and keeps it. Do not fork after loading: torch's threads do not survive it.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from classifiers import calibration, normalise
from classifiers.artefact import ARTEFACT_DIR, CALIBRATION, ArtefactError, read_artefact
from classifiers.base_model import load_tokenizer
from classifiers.inference import BATCH, Logits, window_logits
from classifiers.lexicon import LexiconMatcher, read_lexicon
from classifiers.model import HEAD_NAMES, REVIEW, URGENT, Classifier, has_fast_bfloat16, load_classifier
from classifiers.windows import Window, cut_windows
from triage.domain import taxonomy
from triage.domain.scores import EvidenceSpan, NotAssessed, Scores
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

log = logging.getLogger(__name__)

#: Below this the model's own words are not worth showing; far under every threshold of the policy.
EVIDENCE_FROM = 0.3
MODEL_SPANS = 3
#: Words that carry a score only as glue; shown, they would tell a reader nothing.
_GLUE_TEXT = "a an the of to in on at by for from with and or but so as is are was were be it its it's s"
_GLUE = frozenset(_GLUE_TEXT.split())
_REVIEW, _URGENT = HEAD_NAMES.index(REVIEW), HEAD_NAMES.index(URGENT)
_CODES = slice(0, len(SCORED_CODES))
_CONTEXTS = slice(len(SCORED_CODES), len(SCORED_CODES) + len(CONTEXTS))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One post on its way through the model."""

    index: int
    text: normalise.Normalised
    windows: tuple[Window, ...]


class Pipeline:
    """The loaded classifiers. Not for several threads at once; one per worker process."""

    def __init__(self, model: Classifier, calibrated: calibration.Calibration, versions: dict[str, str]) -> None:
        self._model = model
        self._calibration = calibrated
        self._tokenizer = load_tokenizer()
        self._lexicon = LexiconMatcher(read_lexicon())
        self._versions = {
            **versions,
            "lexicon": self._lexicon.lexicon.version,
            "normaliser": normalise.VERSION,
            "taxonomy": taxonomy.VERSION,
        }
        stamp = "|".join(f"{name}={value}" for name, value in sorted(self._versions.items()))
        #: One stamp over model, lexicon, normaliser and taxonomy: scores of equal stamps may be compared.
        self.version = hashlib.sha256(stamp.encode()).hexdigest()[:12]
        self._versions["pipeline"] = self.version

    @classmethod
    def load(
        cls, *, threads: int = 1, directory: Path = ARTEFACT_DIR, half_precision: bool | None = None
    ) -> "Pipeline":
        """Load and verify everything; takes a few seconds.

        ``half_precision`` is decided by the processor unless given.

        Raises:
            ArtefactError: a file of the model is missing, altered or does not fit; the message says what to do.
        """
        torch.set_num_threads(threads)
        artefact = read_artefact(directory)
        try:
            calibrated = calibration.from_json(artefact.calibration, HEAD_NAMES)
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"{artefact.path(CALIBRATION)} does not fit: {error}: train again") from error
        half = has_fast_bfloat16() if half_precision is None else half_precision
        return cls(load_classifier(artefact, half_precision=half), calibrated, {"model": artefact.version})

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Scores for each text, in order. A text that cannot be read is ``not_assessed``; the others are scored."""
        results: list[Scores | None] = [None] * len(texts)
        prepared: list[_Prepared] = []
        for index, text in enumerate(texts):
            ready = self._prepare(index, text)
            if isinstance(ready, NotAssessed):
                results[index] = self._not_assessed(ready)
            else:
                prepared.append(ready)
        # Neighbours in length waste little on padding.
        prepared.sort(key=lambda post: len(post.windows[-1].ids) + 1000 * len(post.windows))
        for start in range(0, len(prepared), BATCH):
            self._score_batch(prepared[start : start + BATCH], results)
        return [result if result is not None else self._not_assessed(NotAssessed.MODEL_FAILED) for result in results]

    def _prepare(self, index: int, text: str) -> _Prepared | NotAssessed:
        try:
            if not text.strip():
                return NotAssessed.EMPTY
            normalised = normalise.normalise(text)
            letters = sum(character.isalpha() for character in normalised.text)
            if not letters:
                return NotAssessed.NO_WORDS
            if sum("a" <= character <= "z" for character in normalised.text) < letters / 2:
                return NotAssessed.UNKNOWN_LANGUAGE
            return _Prepared(index, normalised, cut_windows(self._tokenizer, normalised.text))
        except Exception as error:  # noqa: BLE001 -- one post that breaks us must not break its batch
            log.error("a post could not be prepared: %s", type(error).__name__)
            return NotAssessed.MODEL_FAILED

    def _score_batch(self, posts: list[_Prepared], results: list[Scores | None]) -> None:
        try:
            for post, scores in zip(posts, self._run(posts), strict=True):
                results[post.index] = scores
        except Exception as error:  # noqa: BLE001 -- as above: then one by one, to find the post that breaks us
            log.error("a batch of %d could not be scored: %s", len(posts), type(error).__name__)
            if len(posts) > 1:
                for post in posts:
                    self._score_batch([post], results)

    def _run(self, posts: list[_Prepared]) -> Iterator[Scores]:
        rows = [(number, window) for number, post in enumerate(posts) for window in post.windows]
        logits: list[Logits] = []
        tokens: list[Logits] = []
        for start in range(0, len(rows), BATCH):
            pooled, by_token = window_logits(
                self._model, self._tokenizer, [window for _, window in rows[start : start + BATCH]]
            )
            logits.extend(pooled)
            tokens.extend(by_token)
        for number, post in enumerate(posts):
            mine = [row for row, (owner, _) in enumerate(rows) if owner == number]
            by_window = self._calibration.probabilities(np.stack([logits[row] for row in mine]))
            yield self._scores_of(post, by_window, [tokens[row] for row in mine])

    def _scores_of(self, post: _Prepared, by_window: Floats, tokens: list[Logits]) -> Scores:
        """A long post is as serious as its most serious window."""
        top = by_window.max(axis=0)
        return Scores(
            labels={code: float(top[i]) for i, code in enumerate(SCORED_CODES)},
            contexts=dict(zip(CONTEXTS, map(float, top[_CONTEXTS]), strict=True)),
            review=float(top[_REVIEW]),
            urgent=float(top[_URGENT]),
            evidence=(*self._model_evidence(post, by_window, tokens), *self._lexicon_evidence(post)),
            versions=self._versions,
        )

    def _model_evidence(self, post: _Prepared, by_window: Floats, tokens: list[Logits]) -> Iterator[EvidenceSpan]:
        """The words that moved the strongest code most, in the window where it was strongest."""
        top = by_window.max(axis=0)
        code = int(top[_CODES].argmax())
        if max(top[code], top[_REVIEW]) < EVIDENCE_FROM:
            return
        head = code if top[code] >= EVIDENCE_FROM else _REVIEW
        at = int(by_window[:, head].argmax())
        window, contributions = post.windows[at], tokens[at][:, head]
        words = [word for word in window.words if self._may_be_shown(post.text.text[word.start : word.end])]
        weighed = [(float(contributions[word.first : word.last].max()), word) for word in words]
        for weight, word in sorted(weighed, key=lambda pair: -pair[0])[:MODEL_SPANS]:
            if weight > 0 or weight > float(contributions.mean()):
                start, end = post.text.original_span(word.start, word.end)
                yield EvidenceSpan(start, end, SCORED_CODES[code], "model", round(weight, 3))

    def _may_be_shown(self, word: str) -> bool:
        return word not in _GLUE and not self._lexicon.is_guarded(word)

    def _lexicon_evidence(self, post: _Prepared) -> Iterator[EvidenceSpan]:
        for hit in self._lexicon.find(post.text.text):
            start, end = post.text.original_span(hit.start, hit.end)
            yield EvidenceSpan(start, end, hit.entry.hint, "lexicon", note=hit.entry.note)

    def _not_assessed(self, reason: NotAssessed) -> Scores:
        return Scores(not_assessed=reason, versions=self._versions)
