"""One reader: an encoder with its heads and tokenizer, run over windows of text.

One place, so that training, evaluation and the pipeline read alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from classifiers.artefact import HEADS, Artefact, ArtefactError
from classifiers.base_model import BASE_MODELS, load_plain_tokenizer
from classifiers.encoder import Encoder, load_encoder
from classifiers.model import HEAD_NAMES
from classifiers.windows import Window, cut_windows

BATCH = 32  # windows; more would only leave the processor's cache (docs/evaluation.md, "Speed")

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

    def __init__(
        self, encoder: Encoder, heads: tuple[Tensor, Tensor], tokenizer: Tokenizer, special_tokens: tuple[int, int]
    ) -> None:
        self.encoder = encoder
        self._heads, self._tokenizer, self._special_tokens = heads, tokenizer, special_tokens

    @classmethod
    def load(cls, artefact: Artefact, name: str, *, half_precision: bool, device: str = "cpu") -> "Reader":
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
        folder, scale = artefact.path(name), float(about["adapter_scale"])
        encoder = load_encoder(folder, base, scale, half_precision=half_precision, device=device)
        heads = _load_heads(folder / HEADS, base.hidden_size, torch.device(device))
        return cls(encoder, heads, load_plain_tokenizer(base), base.special_tokens)

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Read normalised texts; neighbours in length share a batch, so little is spent on padding."""
        cut = [self.cut(text) for text in texts]
        rows = [(owner, place) for owner, windows in enumerate(cut) for place in range(len(windows))]
        rows.sort(key=lambda row: len(cut[row[0]][row[1]].ids))
        by_token: list[list[Logits | None]] = [[None] * len(windows) for windows in cut]
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            for (owner, place), logits in zip(batch, self._run([cut[o][p] for o, p in batch]), strict=True):
                by_token[owner][place] = logits
        return [_reading(windows, tokens) for windows, tokens in zip(cut, by_token, strict=True)]

    def cut(self, text: str) -> tuple[Window, ...]:
        """The windows in which ``read`` reads a normalised text."""
        return cut_windows(self._tokenizer, self._special_tokens, text)

    def logits(self, texts: Sequence[str]) -> Logits:
        """One row of logits per normalised text."""
        return np.stack([reading.logits for reading in self.read(texts)])

    @torch.inference_mode()
    def _run(self, windows: Sequence[Window]) -> list[Logits]:
        """The logits of every token of every window."""
        states = self.encoder.states([window.ids for window in windows])
        logits: Logits = functional.linear(states, *self._heads).cpu().numpy()
        return np.split(logits, np.cumsum([len(window.ids) for window in windows])[:-1])


def _reading(windows: tuple[Window, ...], tokens: Sequence[Logits | None]) -> Reading:
    by_token = tuple(logits for logits in tokens if logits is not None)
    return Reading(windows, np.stack([logits.mean(axis=0) for logits in by_token]), by_token)


def _load_heads(file: Path, hidden_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    heads = {name: value.to(device, torch.float32) for name, value in load_file(file).items()}
    shapes = {name: tuple(value.shape) for name, value in heads.items()}
    if shapes != {"weight": (len(HEAD_NAMES), hidden_size), "bias": (len(HEAD_NAMES),)}:
        raise ArtefactError(f"{file} was trained for another taxonomy: train again")
    return heads["weight"], heads["bias"]
