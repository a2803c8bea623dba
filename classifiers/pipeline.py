"""From text to ``Scores``: normalise, look up the lexicon, let one or two readers read, calibrate, point at the words.

The first reader is small and reads everything. A post that is not clearly harmless to it goes to the second, eight
times its size, and gets the mean of their logits (docs/evaluation.md, "Two readers").

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

from classifiers import calibration, language, normalise
from classifiers.artefact import ARTEFACT_DIR, CALIBRATION, FIRST, SECOND, Artefact, ArtefactError, read_artefact
from classifiers.encoder import give_back_memory
from classifiers.evidence import model_spans
from classifiers.lexicon import LexiconMatcher, read_lexicon
from classifiers.model import HEAD_NAMES, REVIEW, URGENT, has_fast_bfloat16
from classifiers.reader import Reader, Reading
from triage.domain import taxonomy
from triage.domain.scores import EvidenceSpan, NotAssessed, Scores
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

log = logging.getLogger(__name__)

#: Posts prepared and read at a time: enough neighbours in length for both readers, little enough memory.
CHUNK = 256
_REVIEW, _URGENT = HEAD_NAMES.index(REVIEW), HEAD_NAMES.index(URGENT)
_CONTEXTS = slice(len(SCORED_CODES), len(SCORED_CODES) + len(CONTEXTS))

#: Characters in one chunk after which the memory that reading them took is given back; it costs some milliseconds.
MUCH_TEXT = 20_000

DEVICES = ("cpu", "cuda")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One post on its way through the readers."""

    index: int
    text: normalise.Normalised


@dataclass(frozen=True, slots=True)
class _Readings:
    """Both readers' readings of one post; ``second`` is None where one was enough."""

    first: Reading
    second: Reading | None


class DeviceError(RuntimeError):
    """The processor asked for is not there; the message says what to do."""


class Pipeline:
    """The loaded classifiers. Not for several threads at once; one per worker process."""

    def __init__(
        self, first: Reader, second: Reader, calibrated: calibration.OfReaders, versions: dict[str, str]
    ) -> None:
        self.readers = {FIRST: first, SECOND: second}
        self._first, self._second = first, second
        self._calibration = calibrated
        self._lexicon = LexiconMatcher(read_lexicon())
        self._language = language.LanguageCheck()
        self._versions = {
            **versions,
            "lexicon": self._lexicon.lexicon.version,
            "normaliser": normalise.VERSION,
            "language": language.VERSION,
            "taxonomy": taxonomy.VERSION,
        }
        stamp = "|".join(f"{name}={value}" for name, value in sorted(self._versions.items()))
        #: One stamp over model, lexicon, normaliser and taxonomy: scores of equal stamps may be compared.
        self.version = hashlib.sha256(stamp.encode()).hexdigest()[:12]
        self._versions["pipeline"] = self.version
        #: How many posts were read so far, and how many of them twice.
        self.read_once = self.read_twice = 0

    @classmethod
    def load(
        cls,
        *,
        threads: int = 1,
        directory: Path = ARTEFACT_DIR,
        half_precision: bool | None = None,
        device: str = "cpu",
    ) -> "Pipeline":
        """Load and verify everything; takes a few seconds.

        ``half_precision`` is decided by the processor unless given; ``device`` is cpu or cuda.

        Raises:
            ArtefactError: a file of the model is missing, altered or does not fit; the message says what to do.
            DeviceError: the device is not there.
        """
        check_device(device)
        torch.set_num_threads(threads)
        artefact = read_artefact(directory)
        calibrated = _calibration_of(artefact)
        half = (device != "cpu" or has_fast_bfloat16()) if half_precision is None else half_precision
        first, second = (Reader.load(artefact, name, half_precision=half, device=device) for name in (FIRST, SECOND))
        return cls(first, second, calibrated, {"model": artefact.version})

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Scores for each text, in order. A text that cannot be read is ``not_assessed``; the others are scored."""
        results: list[Scores | None] = [None] * len(texts)
        for start in range(0, len(texts), CHUNK):
            prepared: list[_Prepared] = []
            for index in range(start, min(start + CHUNK, len(texts))):
                ready = self._prepare(index, texts[index])
                if isinstance(ready, NotAssessed):
                    results[index] = self._not_assessed(ready)
                else:
                    prepared.append(ready)
            self._score_chunk(prepared, results)
            if sum(len(post.text.text) for post in prepared) > MUCH_TEXT:
                give_back_memory()
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
            if self._language.is_foreign(normalised.text):
                return NotAssessed.UNKNOWN_LANGUAGE
            return _Prepared(index, normalised)
        except Exception as error:  # noqa: BLE001 -- one post that breaks us must not break its batch
            log.error("a post could not be prepared: %s", type(error).__name__)
            return NotAssessed.MODEL_FAILED

    def _score_chunk(self, posts: list[_Prepared], results: list[Scores | None]) -> None:
        if not posts:
            return
        try:
            for post, readings in zip(posts, self._read(posts), strict=True):
                results[post.index] = self._scores_of(post, readings)
        except Exception as error:  # noqa: BLE001 -- as above: then by halves, to find the post that breaks us
            log.error("a batch of %d could not be scored: %s", len(posts), type(error).__name__)
            if len(posts) > 1:
                middle = len(posts) // 2
                self._score_chunk(posts[:middle], results)
                self._score_chunk(posts[middle:], results)

    def _read(self, posts: list[_Prepared]) -> list[_Readings]:
        first = self._first.read([post.text.text for post in posts])
        doubtful = [number for number, reading in enumerate(first) if self._calibration.needs_second(reading.logits)]
        second = dict(zip(doubtful, self._second.read([posts[n].text.text for n in doubtful]), strict=True))
        self.read_once += len(posts)
        self.read_twice += len(doubtful)
        return [_Readings(reading, second.get(number)) for number, reading in enumerate(first)]

    def reading_list(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """As normalised texts: what the first reader reads of ``texts``, and what of it the second reads too."""
        prepared = [ready for i, text in enumerate(texts) if isinstance(ready := self._prepare(i, text), _Prepared)]
        once = [post.text.text for post in prepared]
        readings = zip(once, self._first.read(once), strict=True)
        return once, [text for text, reading in readings if self._calibration.needs_second(reading.logits)]

    def _scores_of(self, post: _Prepared, readings: _Readings) -> Scores:
        second = readings.second
        top = self._calibration.probabilities(readings.first.logits, second.logits if second else None)
        return Scores(
            labels={code: float(top[i]) for i, code in enumerate(SCORED_CODES)},
            contexts=dict(zip(CONTEXTS, map(float, top[_CONTEXTS]), strict=True)),
            review=float(top[_REVIEW]),
            urgent=float(top[_URGENT]),
            evidence=(*self._model_evidence(post, readings, top), *self._lexicon_evidence(post)),
            versions=self._versions,
        )

    def _model_evidence(self, post: _Prepared, readings: _Readings, top: Floats) -> Iterator[EvidenceSpan]:
        reading = readings.second or readings.first
        for span in model_spans(post.text.text, reading, top, guarded=self._lexicon.is_guarded):
            start, end = post.text.original_span(span.start, span.end)
            yield EvidenceSpan(start, end, span.code, "model", span.weight)

    def _lexicon_evidence(self, post: _Prepared) -> Iterator[EvidenceSpan]:
        for hit in self._lexicon.find(post.text.text):
            start, end = post.text.original_span(hit.start, hit.end)
            entry = hit.entry
            yield EvidenceSpan(
                start,
                end,
                entry.hint,
                "lexicon",
                note=entry.note,
                region=entry.region,
                ambiguity=str(entry.ambiguity),
            )

    def _not_assessed(self, reason: NotAssessed) -> Scores:
        return Scores(not_assessed=reason, versions=self._versions)


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        DeviceError: says what to set instead.
    """
    if device not in DEVICES:
        raise DeviceError(f"there is no device {device!r}: use {' or '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "cuda was asked for, but this torch finds no GPU: install a CUDA build of torch and its driver, "
            "or use cpu (TRIAGE_DEVICE=cpu, --device cpu)"
        )


def _calibration_of(artefact: Artefact) -> calibration.OfReaders:
    try:
        return calibration.of_readers(artefact.calibration, HEAD_NAMES)
    except (KeyError, ValueError) as error:
        raise ArtefactError(f"{artefact.path(CALIBRATION)} does not fit: {error}: train again") from error
