"""The classifier: a base encoder, one token at a time, and one linear head per label.

A post's logit for a label is the mean of its tokens' logits, so what each word contributed is read off for nothing:
that is where the evidence spans come from. ``Classifier`` is what training fits; scoring has its own encoder
(``classifiers.encoder``) and adds the same heads to it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

REVIEW = "review"
URGENT = "urgent"
#: Every head the pipeline reads, in the order of the columns.
HEAD_NAMES: tuple[str, ...] = (*SCORED_CODES, *CONTEXTS, REVIEW, URGENT)


class Classifier(nn.Module):
    """Encoder and heads; ``forward`` gives one logit per post and head."""

    def __init__(self, encoder: nn.Module, hidden_size: int, heads: Sequence[str] = HEAD_NAMES) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.Linear(hidden_size, len(heads))

    def token_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        assert isinstance(states, Tensor)
        return states.float()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits = self.heads(pool(self.token_states(input_ids, attention_mask), attention_mask))
        assert isinstance(logits, Tensor)
        return logits


def pool(states: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of the token states, padding left out."""
    weights = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; elsewhere it is emulated and slow."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
