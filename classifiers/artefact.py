"""What training leaves behind and the pipeline loads: a few small files, each with its hash in ``manifest.json``.

``first/`` and ``second/`` hold the two readers (adapter and heads); ``config.json`` says what they are made of and
which posts the second one reads, ``calibration.json`` how to turn logits into probabilities.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARTEFACT_DIR = Path(__file__).parent / "artefact"
MANIFEST = "manifest.json"
CONFIG = "config.json"
CALIBRATION = "calibration.json"
HEADS = "heads.safetensors"
ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
FIRST, SECOND = "first", "second"

_FIX = "restore the file from version control (git checkout -- classifiers/artefact) or train again"


class ArtefactError(RuntimeError):
    """A file of the trained model is missing or altered. The message names the file and the way out."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A verified artefact. ``version`` is the first twelve digits of the manifest's own SHA-256."""

    directory: Path
    version: str
    config: Mapping[str, Any]
    calibration: Mapping[str, Any]
    manifest: Mapping[str, Any]

    def path(self, name: str) -> Path:
        return self.directory / name


def write_manifest(directory: Path, about: Mapping[str, Any]) -> None:
    """Hash every file of ``directory`` into its manifest, beside what ``about`` says of data and training."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {path.relative_to(directory).as_posix(): _digest(path.read_bytes()) for path in paths}
    write_json(directory / MANIFEST, {**about, "files": files})


def read_artefact(directory: Path = ARTEFACT_DIR) -> Artefact:
    """Check every file against the manifest and read the small ones.

    Raises:
        ArtefactError: a file is missing, altered or cannot be read.
    """
    raw = _read(directory / MANIFEST)
    manifest = _parse(MANIFEST, raw)
    files = manifest.get("files", {})
    for name in (CONFIG, CALIBRATION, *(f"{reader}/{file}" for reader in (FIRST, SECOND) for file in (HEADS, ADAPTER))):
        if name not in files:
            raise ArtefactError(f"{directory / MANIFEST} does not list {name}: {_FIX}")
    contents = {}
    for name, expected in files.items():
        contents[name] = _read(directory / name)
        if _digest(contents[name]) != expected:
            raise ArtefactError(f"{directory / name} has been altered (its SHA-256 is not the manifest's): {_FIX}")
    return Artefact(
        directory=directory,
        version=_digest(raw)[:12],
        config=_parse(CONFIG, contents[CONFIG]),
        calibration=_parse(CALIBRATION, contents[CALIBRATION]),
        manifest=manifest,
    )


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror}): {_FIX}") from error


def _parse(name: str, raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise ArtefactError(f"{name} is not JSON: {_FIX}") from error
    if not isinstance(value, dict):
        raise ArtefactError(f"{name} is not a JSON object: {_FIX}")
    return value


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
