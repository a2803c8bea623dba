"""One reader: an encoder with its heads and tokenizer, run over windows of text.

One place, so that training, evaluation and the pipeline read alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerFast

from classifiers.artefact import Artefact, ArtefactError
from classifiers.base_model import BASE_MODELS, load_tokenizer
from classifiers.model import HEAD_NAMES, Classifier, load_classifier, pool
from classifiers.windows import Window, collate_windows, cut_windows

BATCH = 32

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader makes of one text. ``by_window`` and ``by_token`` have one column per head.

    A window's logits are the means of its tokens'; ``by_token`` has one matrix per window.
    """

    windows: tuple[Window, ...]
    by_window: Logits
    by_token: tuple[Logits, ...]

    @property
    def logits(self) -> Logits:
        """One row: a long text is as serious as its most serious window."""
        highest: Logits = self.by_window.max(axis=0)
        return highest


class Reader:
    """A loaded reader. Not for several threads at once."""

    def __init__(self, model: Classifier, tokenizer: PreTrainedTokenizerFast) -> None:
        self._model = model
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, artefact: Artefact, name: str, *, half_precision: bool) -> "Reader":
        """Load the reader ``name`` of ``artefact``.

        Raises:
            ArtefactError: it was trained for another taxonomy or base model, or a file does not fit.
        """
        about = artefact.config["readers"][name]
        base = BASE_MODELS.get(about["base_model"]["name"])
        if tuple(artefact.config["heads"]) != HEAD_NAMES:
            raise ArtefactError(f"{artefact.directory} was trained for another taxonomy: train again")
        if base is None or base.sha256 != about["base_model"]["sha256"]:
            raise ArtefactError(f"{artefact.directory} was trained on another base model: train again")
        scale = float(about["adapter_scale"])
        model = load_classifier(artefact.path(name), base, scale, half_precision=half_precision)
        return cls(model, load_tokenizer(base))

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Read normalised texts; neighbours in length share a batch, so little is spent on padding."""
        cut = [cut_windows(self._tokenizer, text) for text in texts]
        rows = [(owner, place) for owner, windows in enumerate(cut) for place in range(len(windows))]
        rows.sort(key=lambda row: len(cut[row[0]][row[1]].ids))
        by_window: list[dict[int, Logits]] = [{} for _ in texts]
        by_token: list[dict[int, Logits]] = [{} for _ in texts]
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            pooled, tokens = self._run([cut[owner][place] for owner, place in batch])
            for (owner, place), window_logits, token_logits in zip(batch, pooled, tokens, strict=True):
                by_window[owner][place] = window_logits
                by_token[owner][place] = token_logits
        return [
            Reading(
                windows=windows,
                by_window=np.stack([by_window[owner][place] for place in range(len(windows))]),
                by_token=tuple(by_token[owner][place] for place in range(len(windows))),
            )
            for owner, windows in enumerate(cut)
        ]

    def logits(self, texts: Sequence[str]) -> Logits:
        """One row of logits per normalised text."""
        return np.stack([reading.logits for reading in self.read(texts)])

    @torch.inference_mode()
    def _run(self, windows: Sequence[Window]) -> tuple[list[Logits], list[Logits]]:
        ids, mask = collate_windows(windows, self._tokenizer)
        states = self._model.token_states(ids, mask)
        pooled = self._model.heads(pool(states, mask)).numpy()
        by_token = self._model.heads(states).numpy()
        return list(pooled), [row[: len(window.ids)] for row, window in zip(by_token, windows, strict=True)]
