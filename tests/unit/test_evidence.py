"""Bytes kept by their hash: whole or not at all, once, and noticed when somebody changes them."""

import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triage import evidence
from triage.domain.errors import NotFound
from triage.evidence import EvidenceAltered, EvidenceNotKept


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """A disk with room for ``size`` bytes a file: the kernel refuses the rest, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_kept_bytes_are_read_back_by_their_hash(tmp_path: Path) -> None:
    sha256 = evidence.keep(tmp_path / "new", b"as captured")

    assert sha256 == hashlib.sha256(b"as captured").hexdigest()
    assert evidence.read(tmp_path / "new", sha256) == b"as captured"


def test_same_bytes_twice_are_one_file(tmp_path: Path) -> None:
    assert evidence.keep(tmp_path, b"same") == evidence.keep(tmp_path, b"same")

    assert len(files(tmp_path)) == 1


def test_altered_evidence_is_noticed_and_not_covered_up(tmp_path: Path) -> None:
    sha256 = evidence.keep(tmp_path, b"as captured")
    [stored] = files(tmp_path)
    stored.chmod(0o600)
    stored.write_bytes(b"as somebody wishes")

    with pytest.raises(EvidenceAltered):
        evidence.read(tmp_path, sha256)
    with pytest.raises(EvidenceAltered):
        evidence.keep(tmp_path, b"as captured")
    assert stored.read_bytes() == b"as somebody wishes"


def test_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with files_end_at(100), pytest.raises(EvidenceNotKept, match="check the disk"):
        evidence.keep(tmp_path, b"x" * 10_000)

    assert files(tmp_path) == []
    assert len(evidence.keep(tmp_path, b"x" * 10_000)) == 64


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file is in the way")

    with pytest.raises(EvidenceNotKept):
        evidence.keep(tmp_path / "evidence", b"x")


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_unknown_hash_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        evidence.read(tmp_path, name)
