"""What a backup consists of, and whether a folder still holds it.

    DIR/database.dump      pg_dump's custom format, one snapshot
    DIR/evidence/ab/ab...  captured bytes, each under its SHA-256
    DIR/evidence.sha256    the list of them, for `sha256sum --check` too
    DIR/manifest.json      written last, so that a backup which was cut off has none

Hashes tell damage from a whole backup. They do not tell a backup from one that somebody made up: for that keep the
seal elsewhere, and restore with ``--expect``.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from workers.backup.errors import BackupUnusable

DATABASE, EVIDENCE, EVIDENCE_LIST, MANIFEST = "database.dump", "evidence", "evidence.sha256", "manifest.json"
_CHUNK = 1 << 20


class Part(BaseModel):
    """One file of the backup."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What was backed up, as of one snapshot of the database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    #: The same as in the log's event ``installation.backed_up``.
    backup_id: str
    made_at: str
    #: Newest migration in the database.
    revision: str
    postgres: str
    #: Every event was written by a transaction with a lower number (docs/decisions/0005-audit-chain.md).
    next_transaction: int
    #: SHA-256 of the newest seal; ``None`` in an installation that has none yet.
    seal: str | None
    #: Rows of each table.
    rows: dict[str, int]
    evidence_files: int
    #: Captures whose bytes were missing or altered when the backup was made.
    evidence_lost: list[str]
    parts: dict[str, Part]


def write(folder: Path, manifest: Manifest) -> None:
    """Make the backup whole: from now on it counts as one."""
    content = manifest.model_dump(mode="json")
    half = folder / f"{MANIFEST}.half"
    half.write_text(json.dumps({"manifest": content, "sha256": _sha256_of(content)}, indent=1) + "\n", encoding="utf-8")
    half.chmod(0o600)
    sync(half)
    half.replace(folder / MANIFEST)
    sync(folder)


def check(folder: Path) -> Manifest:
    """The manifest of a backup, of which every byte was read and is as it was written.

    Raises:
        BackupUnusable: which file is missing or altered, or that the backup was cut off.
    """
    manifest = _read(folder)
    for name, expected in manifest.parts.items():
        if not (folder / name).is_file():
            raise BackupUnusable(f"{folder / name} is missing")
        if part(folder / name) != expected:
            raise BackupUnusable(f"{folder / name} was altered: its SHA-256 is not the manifest's")
    for sha256 in evidence_list(folder):
        file = evidence_place(folder / EVIDENCE, sha256)
        if not file.is_file():
            raise BackupUnusable(f"{file} is missing")
        if part(file).sha256 != sha256:
            raise BackupUnusable(f"{file} was altered: its SHA-256 is not its name")
    return manifest


def _read(folder: Path) -> Manifest:
    try:
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise BackupUnusable(f"{folder} holds no {MANIFEST}: the backup was cut off, or this is none") from None
    try:
        whole = json.loads(text)
        content, sha256 = whole["manifest"], whole["sha256"]
    except (ValueError, KeyError, TypeError):
        raise BackupUnusable(f"{folder / MANIFEST} was altered: it cannot be read") from None
    if _sha256_of(content) != sha256:
        raise BackupUnusable(f"{folder / MANIFEST} was altered: its SHA-256 is not the one in it")
    try:
        return Manifest.model_validate(content)
    except ValidationError:
        raise BackupUnusable(f"{folder / MANIFEST} was made by another version of this program") from None


def _sha256_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def part(file: Path) -> Part:
    """Size and SHA-256 of a file, whatever its size."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Part(bytes=size, sha256=digest.hexdigest())


def evidence_place(folder: Path, sha256: str) -> Path:
    """As ``triage.evidence`` lays them out."""
    return folder / sha256[:2] / sha256


def evidence_line(sha256: str) -> str:
    return f"{sha256}  {evidence_place(Path(EVIDENCE), sha256)}\n"


def evidence_list(folder: Path) -> Iterator[str]:
    """The SHA-256 of each file of evidence in the backup."""
    with (folder / EVIDENCE_LIST).open(encoding="ascii") as lines:
        for line in lines:
            yield line[:64]


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
