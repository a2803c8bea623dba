"""The classifier: a base encoder, one token at a time, and one linear head per label.

A post's logit for a label is the mean of its tokens' logits, so what each word contributed is read off for nothing
(``token_logits``): that is where the evidence spans come from.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from classifiers.artefact import ADAPTER, HEADS, ArtefactError
from classifiers.base_model import BaseModel, load_encoder
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

REVIEW = "review"
URGENT = "urgent"
#: Every head the pipeline reads, in the order of the columns.
HEAD_NAMES: tuple[str, ...] = (*SCORED_CODES, *CONTEXTS, REVIEW, URGENT)

_ADAPTER_PREFIX = "base_model.model."


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


def load_classifier(folder: Path, base: BaseModel, adapter_scale: float, *, half_precision: bool = False) -> Classifier:
    """One shipped reader from its ``folder``, its adapter merged into the encoder, ready for inference.

    With ``half_precision`` the encoder runs in bfloat16: half the memory, nearly three times the speed where the
    processor has it, and probabilities that differ by less than 0.02 (docs/evaluation.md).

    Raises:
        ArtefactError: a file does not fit the encoder.
    """
    encoder = load_encoder(base)
    merge_adapter(encoder, load_file(folder / ADAPTER), adapter_scale)
    model = Classifier(encoder.bfloat16() if half_precision else encoder.float(), base.hidden_size)
    try:
        model.heads.load_state_dict({name: value.float() for name, value in load_file(folder / HEADS).items()})
    except RuntimeError as error:
        raise ArtefactError(f"{folder / HEADS} was trained for another taxonomy: train again") from error
    return model.eval()


def merge_adapter(encoder: nn.Module, adapter: dict[str, Tensor], scale: float) -> None:
    """Add the low-rank updates that peft saved to the weights they belong to.

    Done here rather than by peft because importing peft costs a worker some 100 MB and seconds.

    Raises:
        ArtefactError: the adapter names a weight that the encoder does not have.
    """
    weights = dict(encoder.named_parameters())
    for name, down in adapter.items():
        if not name.endswith(".lora_A.weight"):
            continue
        module = name.removeprefix(_ADAPTER_PREFIX).removesuffix(".lora_A.weight")
        target = weights.get(f"{module}.weight")
        up = adapter.get(name.replace(".lora_A.", ".lora_B."))
        if target is None or up is None:
            raise ArtefactError(f"{ADAPTER} does not fit the base model at {module}: train again")
        # Summed in float32 and rounded once. A new tensor: the old one is a mapping of the base model's file.
        target.data = (target.data.float() + scale * (up.float() @ down.float())).to(target.dtype)
