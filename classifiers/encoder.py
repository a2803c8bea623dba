"""The encoders as scoring needs them: the mathematics of transformers' BertModel and MPNetModel, nothing padded.

Training uses transformers; a worker does not, because importing those two models brings in a compiler, scipy and
much else (docs/evaluation.md, "Speed and memory"). Tests hold the two to the same numbers. Tokens of all windows of
a batch lie in one long row, so that every matrix multiplication works on real tokens only; they are spread out to
a rectangle just for the attention.
"""

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from classifiers.artefact import ADAPTER, ArtefactError
from classifiers.base_model import WEIGHTS, BaseModel, Shape, verify_base_model

_ADAPTER_PREFIX = "base_model.model."
_FARTHEST = 128  # tokens; everything farther shares the last relative position


@dataclass(frozen=True, slots=True)
class _Linear:
    weight: Tensor
    bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return functional.linear(states, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, states: Tensor) -> Tensor:
        return functional.layer_norm(states, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block. ``query_key_value`` is the three projections in one multiplication."""

    query_key_value: _Linear
    attended: _Linear
    attended_norm: _Norm
    wide: _Linear
    narrow: _Linear
    norm: _Norm


@dataclass(frozen=True, slots=True)
class _Spread:
    """How the tokens of a batch lie in the rectangle of windows by positions."""

    rows: int
    width: int
    slots: Tensor | None  # place of each token; None where every window is full
    bias: Tensor | None  # added to the attention scores: relative positions, and padding at minus infinity


class Encoder:
    """A verified encoder with an adapter merged into it. Not for several threads at once."""

    def __init__(self, weights: "_Weights", shape: Shape, *, dtype: torch.dtype, device: torch.device) -> None:
        self.shape, self.dtype, self.device = shape, dtype, device
        on_device = device.type != "cpu"
        # On the processor the table stays a mapping of the file: only the words that occur take memory.
        self._words = weights.mapped("embeddings.word_embeddings.weight")
        self._words = self._words.to(device) if on_device else self._words
        positions = weights.read("embeddings.position_embeddings.weight")[shape.first_position :]
        if shape.token_types:
            positions = positions + weights.read("embeddings.token_type_embeddings.weight")[0]
        self._positions = positions.to(device)
        self._embedded_norm = weights.norm("embeddings.LayerNorm")
        self._layers = [weights.layer(number) for number in range(shape.layers)]
        self._relative = None
        if shape.relative_positions:
            self._relative = weights.read("encoder.relative_attention_bias.weight").to(device)

    @torch.inference_mode()
    def states(self, windows: Sequence[Sequence[int]]) -> Tensor:
        """One float32 state per token of ``windows`` (token ids), window after window, special tokens included."""
        lengths = [len(window) for window in windows]
        ids = torch.tensor([token for window in windows for token in window], device=self.device)
        places = torch.cat([torch.arange(length) for length in lengths]).to(self.device)
        embedded = functional.embedding(ids, self._words).float() + self._positions[places]
        states = self._embedded_norm(embedded.to(self.dtype))
        spread = self._spread(lengths, places)
        for layer in self._layers:
            states = self._block(layer, states, spread)
        return states.float()

    def _block(self, layer: _Layer, states: Tensor, spread: _Spread) -> Tensor:
        attended = layer.attended(self._attention(layer.query_key_value(states), spread))
        states = layer.attended_norm(attended.add_(states))
        return layer.norm(layer.narrow(functional.gelu(layer.wide(states))).add_(states))

    def _attention(self, projected: Tensor, spread: _Spread) -> Tensor:
        heads, size = self.shape.heads, self.shape.hidden // self.shape.heads
        if spread.slots is not None:
            filled = projected.new_zeros(spread.rows * spread.width, projected.shape[1])
            projected = filled.index_copy_(0, spread.slots, projected)
        # Plain multiplications: on short windows they take half the time of torch's fused attention (on a processor).
        parts = projected.view(spread.rows, spread.width, 3, heads, size).permute(2, 0, 3, 1, 4)
        query, key, value = parts.reshape(3, spread.rows * heads, spread.width, size)
        scores = torch.bmm(query, key.transpose(1, 2))
        if spread.bias is not None:
            scores.view(spread.rows, heads, spread.width, spread.width).add_(spread.bias)
        shares = scores.softmax(-1, dtype=torch.float32).to(self.dtype)
        mixed = torch.bmm(shares, value).view(spread.rows, heads, spread.width, size)
        mixed = mixed.transpose(1, 2).reshape(spread.rows * spread.width, self.shape.hidden)
        return mixed if spread.slots is None else mixed.index_select(0, spread.slots)

    def _spread(self, lengths: Sequence[int], places: Tensor) -> _Spread:
        rows, width = len(lengths), max(lengths)
        padded = min(lengths) < width
        bias = self._relative_bias(width) if self._relative is not None else None
        slots = None
        if padded:
            counts = torch.tensor(lengths, device=self.device)
            slots = torch.arange(rows, device=self.device).repeat_interleave(counts) * width + places
            empty = torch.arange(width, device=self.device) >= counts[:, None]
            padding = torch.zeros(empty.shape, dtype=self.dtype, device=self.device)
            padding = padding.masked_fill_(empty, -math.inf)[:, None, None, :]
            bias = padding if bias is None else bias + padding
        return _Spread(rows, width, slots, bias)

    def _relative_bias(self, width: int) -> Tensor:
        """One number per head and pair of positions, learned by distance in 32 bands (half of them each way)."""
        assert self._relative is not None
        place = torch.arange(width, device=self.device)
        ahead = place[None, :] - place[:, None]
        bands = self._relative.shape[0] // 2
        near = bands // 2
        distance = ahead.abs()
        far = torch.log(distance.float().clamp(min=1) / near) / math.log(_FARTHEST / near) * (bands - near)
        band = torch.where(distance < near, distance, (near + far.long()).clamp(max=bands - 1))
        band = band + bands * (ahead > 0).long()
        return self._relative[band].permute(2, 0, 1)[None].to(self.dtype)


def give_back_memory() -> None:
    """Hand memory that is free back to the system: glibc would keep what merging took, some 200 MB, for good."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Weights:
    """Reads an encoder's weights one at a time, adapted, so that no second copy of the whole ever exists."""

    def __init__(
        self, file: Path, shape: Shape, adapter: dict[str, Tensor], scale: float, place: Callable[[Tensor], Tensor]
    ) -> None:
        self._path, self._file = file, safe_open(file, "pt")
        self._shape, self._adapter, self._scale, self._place = shape, adapter, scale, place
        names = set(self._file.keys())  # type: ignore[no-untyped-call]
        for name in adapter:
            module = name.removeprefix(_ADAPTER_PREFIX).rpartition(".lora_")[0]
            other = name.replace(".lora_A.", ".lora_B.") if ".lora_A." in name else name.replace(".lora_B.", ".lora_A.")
            if f"{module}.weight" not in names or other not in adapter:
                raise ArtefactError(f"{ADAPTER} does not fit the base model at {module}: train again")

    def mapped(self, name: str) -> Tensor:
        """A weight as a mapping of the file, of which only what is read takes memory."""
        with safe_open(self._path, "pt") as file:
            weight = file.get_tensor(name)
        assert isinstance(weight, Tensor)
        return weight

    def read(self, name: str) -> Tensor:
        """A weight as it is stored, in float32 and in memory of its own."""
        weight = self._file.get_tensor(name)  # type: ignore[no-untyped-call]
        assert isinstance(weight, Tensor)
        return weight.to(torch.float32, copy=True)

    def norm(self, name: str) -> _Norm:
        weight, bias = self._place(self.read(f"{name}.weight")), self._place(self.read(f"{name}.bias"))
        return _Norm(weight, bias, self._shape.epsilon)

    def linear(self, *names: str, first_scaled: float = 1.0) -> _Linear:
        """One multiplication for all of ``names``, their adapters merged; rounded once, after the merging.

        The first of them is scaled: attention divides by the root of a head's size, here rather than score by score.
        """
        weights = [self._merged(name) for name in names]
        biases = [self.read(f"{name}.bias") for name in names]
        weights[0] *= first_scaled
        biases[0] *= first_scaled
        return _Linear(self._place(torch.cat(weights)), self._place(torch.cat(biases)))

    def layer(self, number: int) -> _Layer:
        give_back_memory()
        block, names = f"encoder.layer.{number}", self._shape.names
        query_key_value = [f"{block}.{name}" for name in names.query_key_value]
        return _Layer(
            query_key_value=self.linear(
                *query_key_value, first_scaled=(self._shape.hidden // self._shape.heads) ** -0.5
            ),
            attended=self.linear(f"{block}.{names.attended}"),
            attended_norm=self.norm(f"{block}.{names.attended_norm}"),
            wide=self.linear(f"{block}.intermediate.dense"),
            narrow=self.linear(f"{block}.output.dense"),
            norm=self.norm(f"{block}.output.LayerNorm"),
        )

    def _merged(self, name: str) -> Tensor:
        weight = self.read(f"{name}.weight")
        down = self._adapter.get(f"{_ADAPTER_PREFIX}{name}.lora_A.weight")
        if down is None:
            return weight
        up = self._adapter[f"{_ADAPTER_PREFIX}{name}.lora_B.weight"]
        return weight.add_(up.float() @ down.float(), alpha=self._scale)


def load_encoder(
    folder: Path, base: BaseModel, adapter_scale: float, *, half_precision: bool, device: str = "cpu"
) -> Encoder:
    """The encoder of the shipped reader in ``folder``, in bfloat16 with ``half_precision``.

    Raises:
        ArtefactError: the base model is not the expected one, or the adapter does not fit it.
    """
    dtype, place = torch.bfloat16 if half_precision else torch.float32, torch.device(device)
    weights = _Weights(
        verify_base_model(base) / WEIGHTS,
        base.shape,
        load_file(folder / ADAPTER),
        adapter_scale,
        lambda weight: weight.to(place, dtype),
    )
    encoder = Encoder(weights, base.shape, dtype=dtype, device=place)
    del weights
    give_back_memory()
    return encoder
