"""The table of faults names tests that exist, and every test of a fault stands in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_fault_has_a_test_and_every_test_a_fault() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "test_" in line]
    named = {name for row in rows for name in re.findall(r"`(test_\w+\.py)`", row.rsplit("|", 2)[1])}

    assert named == {path.name for path in (ROOT / "tests" / "fault").glob("test_*.py")}
