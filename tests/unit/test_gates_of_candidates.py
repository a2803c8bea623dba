"""A candidate that does worse than the bounds, or is broken, does not become the shipped model."""

import math
import shutil
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from classifiers import gates, promote
from classifiers.artefact import (
    ARTEFACT_DIR,
    FIRST,
    HEADS,
    MANIFEST,
    SECOND,
    ArtefactError,
    read_artefact,
    write_manifest,
)
from classifiers.gates import Bound, Measured, judge, read_bounds

FLOOR, CEILING = Bound("what", 0.8, True), Bound("what", 0.1, False)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ARTEFACT_DIR, tmp_path / "candidate"))


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ARTEFACT_DIR, tmp_path / "shipped"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("bound", "value", "opens"),
    [
        (FLOOR, 0.8, True),
        (FLOOR, 0.79, False),
        (CEILING, 0.1, True),
        (CEILING, 0.11, False),
        (FLOOR, math.nan, False),
        (CEILING, math.nan, False),
    ],
)
def test_gate_opens_at_its_bound(bound: Bound, value: float, opens: bool) -> None:
    [gate] = judge({"a": Measured(value, 9)}, {"a": bound})

    assert gate.open is opens


def test_no_figure_and_no_bound_is_passed_over() -> None:
    with pytest.raises(ValueError, match="do not match: forgotten"):
        judge({"a": Measured(1.0, 9)}, {"a": FLOOR, "forgotten": FLOOR})


@pytest.mark.parametrize("limits", ["", "at_least = 0.1\nat_most = 0.2"])
def test_bound_is_a_floor_or_a_ceiling(limits: str, tmp_path: Path) -> None:
    file = tmp_path / "gates.toml"
    file.write_text(f'[pairs]\nabout = "pairs"\n{limits}\n', encoding="utf-8")

    with pytest.raises(ValueError, match="pairs needs either"):
        read_bounds(file)


def test_candidate_that_knows_nothing_is_refused(
    candidate: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reader in (FIRST, SECOND):
        heads = {name: torch.zeros_like(value) for name, value in load_file(candidate / reader / HEADS).items()}
        save_file(heads, candidate / reader / HEADS)
    write_manifest(candidate, {})
    before = contents(shipped)
    every_tenth = gates.read_corpus()[::10]  # enough to see through it, in seconds
    monkeypatch.setattr(gates, "read_corpus", lambda: every_tenth)

    result = CliRunner().invoke(_app(), [str(candidate), "--shipped", str(shipped)])

    assert result.exit_code == 1
    assert "not promoted: contrast_pairs, held_out" in result.output
    assert contents(shipped) == before


def test_altered_candidate_is_refused(candidate: Path, shipped: Path) -> None:
    (candidate / FIRST / HEADS).write_bytes(b"other")
    before = contents(shipped)

    result = CliRunner().invoke(_app(), [str(candidate), "--shipped", str(shipped)])

    assert result.exit_code == 2
    assert "has been altered" in result.output
    assert contents(shipped) == before


def test_promoted_candidate_is_whole_and_nothing_else(candidate: Path, shipped: Path) -> None:
    write_manifest(candidate, {"about": "another training"})
    (candidate / "notes.txt").write_text("left lying about", encoding="utf-8")
    version = read_artefact(candidate).version

    promote.replace_artefact(candidate, shipped)

    assert read_artefact(shipped).version == version
    assert set(contents(shipped)) == {*read_artefact(candidate).manifest["files"], MANIFEST}
    assert not list(shipped.parent.glob("shipped.*"))


def test_broken_candidate_leaves_the_shipped_model_alone(candidate: Path, shipped: Path) -> None:
    (candidate / SECOND / HEADS).unlink()
    before = contents(shipped)

    with pytest.raises(ArtefactError):
        promote.replace_artefact(candidate, shipped)

    assert contents(shipped) == before


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(promote.main)
    return app
