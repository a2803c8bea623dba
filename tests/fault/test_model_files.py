"""A model file is missing, altered or of another model: the worker refuses in one sentence, and nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import classifiers
from classifiers.artefact import MANIFEST, write_manifest
from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.people import People
from triage.db import Case, Post
from workers import doctor

pytestmark = [pytest.mark.fault, pytest.mark.model]

ROOMS = ("triage", "annotations", "workers")


def missing(artefact: Path) -> None:
    (artefact / "second" / "adapter_model.safetensors").unlink()


def altered(artefact: Path) -> None:
    weights = artefact / "first" / "heads.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def of_another_taxonomy(artefact: Path) -> None:
    config = json.loads((artefact / "config.json").read_text())
    config["heads"] = config["heads"][1:]
    (artefact / "config.json").write_text(json.dumps(config))
    write_manifest(artefact, json.loads((artefact / MANIFEST).read_text()))


def no_weights_at_all(artefact: Path) -> None:
    (artefact / "first" / "heads.safetensors").write_bytes(b"not what it says")
    write_manifest(artefact, json.loads((artefact / MANIFEST).read_text()))


FAULTS: dict[Callable[[Path], None], str] = {
    missing: "cannot be read (No such file or directory)",
    altered: "has been altered",
    of_another_taxonomy: "was trained for another taxonomy",
    no_weights_at_all: "The model cannot be used",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The program with a model of its own that a test may spoil."""
    original = Path(classifiers.__file__).parent
    for room in ROOMS:
        (tmp_path / room).symlink_to(original.parent / room)
    (tmp_path / "classifiers").mkdir()
    for part in original.iterdir():
        if part.name != "artefact":
            (tmp_path / "classifiers" / part.name).symlink_to(part)
    shutil.copytree(original / "artefact", tmp_path / "classifiers" / "artefact")
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS)
def test_worker_refuses_in_one_sentence_and_the_posts_wait_in_sight(
    fault: Callable[[Path], None], copy: Path, session: Session, people: People
) -> None:
    fault(copy / "classifiers" / "artefact")
    accepted = hands.accept(people, ["an invented post", "another one"])

    refusal = subprocess.run(
        [sys.executable, "-m", "workers.cli", "worker", "bulk", "--burst"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        check=False,
    )

    assert refusal.returncode == 1
    last = refusal.stderr.splitlines()[-1]
    assert last.startswith("triage: The model cannot be used, so that this lane's posts wait: ")
    assert FAULTS[fault] in last
    assert "Traceback" not in refusal.stderr
    assert count(select(func.count()).where(Post.scoring_attempts > 0)) == 0
    assert count(select(func.count()).where(Case.status == "waiting")) == 2
    unattended = next(found for found in doctor.examine(session) if found.name == "lanes with posts and no worker")
    session.rollback()
    assert (unattended.value, unattended.ok) == ("bulk", False)

    hands.work_until_all_open()  # a worker with its model
    assert_kept(accepted)
