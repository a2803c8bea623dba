"""A missing or altered file of the model is refused by name, with the way out."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers.artefact import (
    ARTEFACT_DIR,
    CALIBRATION,
    CONFIG,
    FIRST,
    HEADS,
    MANIFEST,
    ArtefactError,
    read_artefact,
    write_json,
    write_manifest,
)
from classifiers.base_model import MINILM, MPNET, WEIGHTS, BaseModel, verify_base_model
from classifiers.calibration import Calibration, expected_calibration_error, fit_calibration, from_json
from classifiers.reader import Reader

FILES = sorted(
    path.relative_to(ARTEFACT_DIR).as_posix()
    for path in ARTEFACT_DIR.rglob("*")
    if path.is_file() and path.name != MANIFEST
)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ARTEFACT_DIR, tmp_path / "artefact"))


def test_artefact_is_small() -> None:
    assert sum(path.stat().st_size for path in ARTEFACT_DIR.rglob("*")) < 12_000_000


@pytest.mark.parametrize("name", FILES)
def test_altered_file_is_refused(artefact: Path, name: str) -> None:
    content = bytearray((artefact / name).read_bytes())
    content[-2] ^= 1
    (artefact / name).write_bytes(content)

    with pytest.raises(ArtefactError, match=rf"{name} has been altered.*git checkout"):
        read_artefact(artefact)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_missing_file_is_refused(artefact: Path, name: str) -> None:
    (artefact / name).unlink()

    with pytest.raises(ArtefactError, match=rf"{name} cannot be read"):
        read_artefact(artefact)


def test_manifest_that_forgets_a_file_is_refused(artefact: Path) -> None:
    manifest = artefact / MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(f'"{FIRST}/{HEADS}"', '"other"'), encoding="utf-8")

    with pytest.raises(ArtefactError, match="does not list"):
        read_artefact(artefact)


def test_version_changes_with_any_file(artefact: Path) -> None:
    manifest = artefact / MANIFEST
    before = read_artefact(artefact).version
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"posts"', '"post"'), encoding="utf-8")

    assert read_artefact(artefact).version != before


@pytest.mark.parametrize("base", [MINILM, MPNET], ids=lambda base: base.name)
def test_other_base_weights_are_refused(tmp_path: Path, base: BaseModel) -> None:
    elsewhere = replace(base, directory=lambda: tmp_path)
    with pytest.raises(ArtefactError, match=rf"{base.name} is missing"):
        verify_base_model(elsewhere)

    (tmp_path / WEIGHTS).write_bytes(b"other")

    with pytest.raises(ArtefactError, match=r"not the expected file: (reinstall|run)"):
        verify_base_model(elsewhere)


def test_model_trained_on_another_base_is_refused(artefact: Path) -> None:
    config = json.loads((artefact / CONFIG).read_text(encoding="utf-8"))
    config["readers"][FIRST]["base_model"]["sha256"] = "0" * 64
    write_json(artefact / CONFIG, config)
    write_manifest(artefact, {})

    with pytest.raises(ArtefactError, match="trained on another base model"):
        Reader.load(read_artefact(artefact), FIRST, half_precision=False)


def test_calibration_makes_probabilities_mean_what_they_say() -> None:
    rng = np.random.default_rng(1)
    targets = (rng.random(4000) < 0.2).astype(np.float32)
    logits = (3.0 * (targets - 0.5) + rng.normal(0, 1.5, 4000) + 1.0).astype(np.float32)
    raw = Calibration(np.ones(1), np.zeros(1)).probabilities(logits[:, None])[:, 0]

    fitted = fit_calibration(logits[:, None], targets[:, None], np.zeros(1))
    calibrated = fitted.probabilities(logits[:, None])[:, 0]

    assert expected_calibration_error(raw, targets) > 0.1
    assert expected_calibration_error(calibrated, targets) < 0.03


def test_calibration_without_examples_keeps_its_prior() -> None:
    fitted = fit_calibration(np.zeros((3, 1), np.float32), np.full((3, 1), np.nan, np.float32), np.array([-1.1]))

    assert (fitted.slopes[0], fitted.shifts[0]) == pytest.approx((1.0, -1.1))


def test_calibration_with_a_missing_head_is_refused() -> None:
    with pytest.raises(ValueError, match="no numbers for TTL"):
        from_json({"heads": {}}, ["TTL"])


def test_calibration_file_is_among_the_hashed() -> None:
    assert CALIBRATION in FILES
