"""The benchmark at its smallest: every row is there, nobody gets another's case, and nothing is left running."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workers.bench.plots import draw
from workers.bench.run import run
from workers.bench.sizes import Part, Sizes

pytestmark = pytest.mark.model

TINY = replace(Sizes().times(0.0001), combinations=((1, 2),))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    before = _leftovers()
    found = run(TINY)
    assert _leftovers() == before
    return found


def test_every_part_has_its_rows(report: dict[str, Any]) -> None:
    assert {row["part"] for row in report["rows"]} == set(Part)
    assert all(row["n"] > 0 for row in report["rows"])
    assert not report["notes"]
    judged = [row["what"] for row in report["rows"] if row["met"] is not None]
    assert len(judged) == 19


def test_nothing_failed_and_no_case_went_to_two_people(report: dict[str, Any]) -> None:
    figures = {row["what"]: row["figure"] for row in report["rows"]}

    assert figures["cases given to two people"] == 0
    assert figures["answers that failed"] == 0
    assert figures["single reports, errors"] == 0
    assert figures["live reports refused or failed"] == 0
    assert figures["a post outside the model: queue, database, waiting"] > 0


def test_pictures_are_drawn(report: dict[str, Any], tmp_path: Path) -> None:
    drawn = draw(report, tmp_path)

    assert len(drawn) == 5
    assert all(b"<svg" in path.read_bytes() for path in drawn)


def test_command_prints_a_table_and_writes_the_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = ["bench", "pipeline", "--only", "intake", "--share", "0.0001", "--json", str(file)]

    done = subprocess.run([sys.executable, "-m", "workers.cli", *command], capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    assert "batches of 1,000" in done.stdout
    assert {row["part"] for row in json.loads(file.read_text(encoding="utf-8"))["rows"]} == {Part.INTAKE}


def _leftovers() -> tuple[set[str], set[str]]:
    """Folders of the benchmark, and commands of our children."""
    folders = {path.name for path in Path(tempfile.gettempdir()).glob("triage-bench-*")}
    children = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        if int(fields[1]) == os.getpid():
            children.add((stat.parent / "cmdline").read_text())
    return folders, children
