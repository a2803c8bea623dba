"""Our encoder says what transformers' own models say, padded or not, for both architectures."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, PreTrainedModel

from classifiers import encoder
from classifiers.artefact import ADAPTER, ArtefactError
from classifiers.base_model import MINILM, MPNET, WEIGHTS, BaseModel
from classifiers.pipeline import DeviceError, Pipeline

WINDOWS = [[0, 7, 9, 2], [0, 5, 2], [0, *range(3, 43), 2], [0, 2]]
SIZES = {"vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}


def small(base: BaseModel, folder: Path) -> tuple[BaseModel, PreTrainedModel]:
    """The architecture of ``base`` with few, random weights, stored in ``folder``."""
    torch.manual_seed(1)
    kind, config = (BertModel, BertConfig) if base is MINILM else (MPNetModel, MPNetConfig)
    sizes = {**SIZES, "layer_norm_eps": base.shape.epsilon, "max_position_embeddings": 64}
    model = kind(config(**sizes), add_pooling_layer=False).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_file(dict(model.named_parameters()), folder / WEIGHTS)
    save_file({}, folder / ADAPTER)
    shape = replace(base.shape, layers=2, hidden=24, heads=3, wide=40)
    return replace(base, shape=shape, directory=lambda: folder), model


@pytest.mark.parametrize("base", [MINILM, MPNET], ids=lambda base: base.name)
def test_states_are_those_of_transformers(base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, model = small(base, tmp_path)
    monkeypatch.setattr(
        encoder, "verify_base_model", lambda base: base.directory()
    )  # random weights have no known hash

    states = encoder.load_encoder(tmp_path, base, 2.0, half_precision=False).states(WINDOWS)

    with torch.inference_mode():
        expected = torch.cat([model(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in WINDOWS])
    torch.testing.assert_close(states, expected, atol=2e-5, rtol=1e-4)


def test_adapter_is_added_to_its_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, model = small(MINILM, tmp_path)
    monkeypatch.setattr(encoder, "verify_base_model", lambda base: base.directory())
    up, down = torch.randn(40, 2), torch.randn(2, 24)
    name = "base_model.model.encoder.layer.1.intermediate.dense"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / ADAPTER)

    states = encoder.load_encoder(tmp_path, base, 0.5, half_precision=False).states(WINDOWS[:1])

    with torch.inference_mode():
        model.get_parameter("encoder.layer.1.intermediate.dense.weight").add_(0.5 * up @ down)
        expected = model(input_ids=torch.tensor(WINDOWS[:1])).last_hidden_state[0]
    torch.testing.assert_close(states, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["other.lora_A.weight", "encoder.layer.0.intermediate.dense.lora_B.weight"])
def test_adapter_that_does_not_fit_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, _ = small(MINILM, tmp_path)
    monkeypatch.setattr(encoder, "verify_base_model", lambda base: base.directory())
    save_file({f"base_model.model.{name}": torch.zeros(2, 24)}, tmp_path / ADAPTER)

    with pytest.raises(ArtefactError, match="does not fit the base model at"):
        encoder.load_encoder(tmp_path, base, 2.0, half_precision=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match="TRIAGE_DEVICE=cpu"):
        Pipeline.load(device="cuda")


def test_unknown_device_is_refused() -> None:
    with pytest.raises(DeviceError, match="cpu or cuda"):
        Pipeline.load(device="abacus")


def test_the_processor_is_the_default() -> None:
    assert Pipeline.load().readers["first"].encoder.device == torch.device("cpu")
