"""docs/performance.md says what docs/performance.json says, and nothing else between its markers."""

import json
import re
from pathlib import Path
from typing import Any

from workers.bench.page import NOT_MEASURED, write_tables
from workers.bench.posts import composed
from workers.bench.rows import Measured, Row, as_json, percentile
from workers.bench.sizes import Part

DOCS = Path(__file__).parents[2] / "docs"
FIGURES, PAGE = DOCS / "performance.json", (DOCS / "performance.md").read_text(encoding="utf-8")


def test_page_is_what_was_measured() -> None:
    report = json.loads(FIGURES.read_text(encoding="utf-8"))

    assert write_tables(PAGE, report) == PAGE


def test_page_has_a_place_for_every_part() -> None:
    assert set(re.findall(r"<!-- figures:(\w+) -->", PAGE)) == {*Part, "about"}


def test_every_picture_of_the_page_is_there() -> None:
    pictures = [DOCS / name for name in re.findall(r"\((images/performance-\w+\.svg)\)", PAGE)]

    assert pictures
    assert [picture.name for picture in pictures if not picture.exists()] == []


def test_tables_follow_the_report() -> None:
    rows = [
        Row("flow", "of the bare pipeline", 50_000, 0.834, "%", at_least=0.8),
        Row("flow", "memory", 3, 181.0, "MB"),
    ]

    page = write_tables(
        "a\n<!-- figures:flow -->\nold\n<!-- end -->\n<!-- figures:live -->\nold\n<!-- end -->\n", _report(rows)
    )

    assert "| of the bare pipeline | 50,000 | 83% | ≥ 80% | yes |\n| memory | 3 | 181 MB |  |  |\n<!-- end -->" in page
    assert f"<!-- figures:live -->\n{NOT_MEASURED}<!-- end -->" in page
    assert "old" not in page


def test_a_target_that_is_missed_says_so() -> None:
    assert [Row("a", "b", 1, figure, "ms", at_most=30).met for figure in (29.0, 31.0)] == [True, False]
    assert [Row("a", "b", 1, figure, "", at_least=30).met for figure in (29.0, 31.0)] == [False, True]


def test_percentile_is_a_value_that_was_measured() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.5, 0.95, 1.0)] == [2.0, 4.0, 4.0]
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95.0


def test_posts_are_distinct_and_the_same_every_time() -> None:
    some = list(composed(12_000))

    assert len(set(some)) == len(some)
    assert list(composed(3, start=11_000)) == some[11_000:11_003]


def _report(rows: list[Row]) -> dict[str, Any]:
    return as_json(Measured(rows), sizes={}, load_average=0.0, seconds=1.0)
