"""docs/scaling.md: the tables are those that its first one gives, and what it says was measured is no zero."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_tables_are_computed_from_the_first() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "scaling.py"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_nothing_is_left_to_fill_in() -> None:
    given = re.findall(r"^\| ([^|]+?) \| ([\d.]+) \| ([^|]+?) \|", PAGE.split("<!-- computed")[0], flags=re.MULTILINE)

    assert len(given) > 15
    for name, value, source in given:
        assert float(value) > 0, name
        assert re.match("measured|assumed|derived|target|counted|`", source), name
