"""Run the model over windows of text. One place, so that training, evaluation and the pipeline agree."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerFast

from classifiers.model import HEAD_NAMES, Classifier, pool
from classifiers.normalise import normalise
from classifiers.windows import Window, collate_windows, cut_windows

BATCH = 32

Logits = npt.NDArray[np.float32]


@torch.inference_mode()
def window_logits(
    model: Classifier, tokenizer: PreTrainedTokenizerFast, windows: Sequence[Window]
) -> tuple[list[Logits], list[Logits]]:
    """Logits of each window, and of each of its tokens; the first are the means of the second."""
    ids, mask = collate_windows(windows, tokenizer)
    states = model.token_states(ids, mask)
    pooled = model.heads(pool(states, mask)).numpy()
    by_token = model.heads(states).numpy()
    return list(pooled), [row[: len(window.ids)] for row, window in zip(by_token, windows, strict=True)]


def text_logits(model: Classifier, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Logits:
    """One row of logits per text, for the heads the pipeline reads; the highest of its windows."""
    windows = [
        (index, window) for index, text in enumerate(texts) for window in cut_windows(tokenizer, normalise(text).text)
    ]
    windows.sort(key=lambda pair: len(pair[1].ids))
    result = np.full((len(texts), len(HEAD_NAMES)), -np.inf, dtype=np.float32)
    for start in range(0, len(windows), BATCH):
        rows = windows[start : start + BATCH]
        pooled, _ = window_logits(model, tokenizer, [window for _, window in rows])
        for (index, _), logits in zip(rows, pooled, strict=True):
            result[index] = np.maximum(result[index], logits[: len(HEAD_NAMES)])
    return result
