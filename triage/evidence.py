"""The stored bytes of a capture, by their SHA-256: written once, never changed, checked at every reading.

A hash proves that the copy is what was captured, not that the post was genuine or by whom it was.
"""

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from triage.domain.errors import Conflict, NotFound, Unavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")


class EvidenceNotKept(Unavailable):
    """The bytes could not be stored, for example because the disk is full. Nothing was stored in part."""

    title = "Evidence could not be stored"


class EvidenceAltered(Conflict):
    """The stored bytes are no longer those that were captured."""

    title = "Evidence was altered"


def keep(folder: Path, content: bytes) -> str:
    """Store ``content`` and return its SHA-256. Storing the same bytes again changes nothing.

    Raises:
        EvidenceNotKept: the disk refused; nothing is left behind.
        EvidenceAltered: other bytes stand under this hash; they are left as they are, for somebody to look at.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    target = _place(folder, sha256)
    if target.exists():
        read(folder, sha256)
        return sha256
    try:
        _write(target, content)
    except OSError as error:
        raise EvidenceNotKept(f"The capture could not be stored: {error.strerror}; check the disk") from error
    return sha256


def read(folder: Path, sha256: str) -> bytes:
    """The bytes as captured.

    Raises:
        NotFound: nothing is stored under this hash.
        EvidenceAltered: what is stored does not have this hash.
    """
    try:
        content = _place(folder, sha256).read_bytes()
    except FileNotFoundError:
        raise NotFound("There is no evidence under this hash") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise EvidenceAltered(f"The stored bytes no longer match their hash {sha256}; do not rely on them")
    return content


def _place(folder: Path, sha256: str) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise NotFound("Not a SHA-256 in lower-case hexadecimal")
    return folder / sha256[:2] / sha256


def _write(target: Path, content: bytes) -> None:
    """Under another name first, then renamed: a file under its hash is always whole, whatever is killed when."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o400)
        os.replace(name, target)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)
    _sync_folder(target.parent.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, not only the bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
