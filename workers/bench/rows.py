"""What was measured, as rows: what, on how many, how much, against which target."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``at_least`` or ``at_most`` is its target, in the same ``unit``; neither: it is told, not judged."""

    part: str
    what: str
    n: int
    figure: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        if self.at_least is not None:
            return self.figure >= self.at_least
        return self.figure <= self.at_most if self.at_most is not None else None


@dataclass
class Measured:
    """What a part found: rows to read, and points to draw."""

    rows: list[Row] = field(default_factory=list)
    points: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: What was left out, and why.
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Measured") -> None:
        self.rows += other.rows
        self.points |= other.points
        self.notes += other.notes


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    place = max(0, -(-int(share * 10_000) * len(ordered) // 10_000) - 1)
    return ordered[place]


def machine() -> str:
    """The processor's name as Linux gives it, and the cores."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def as_json(measured: Measured, *, sizes: dict[str, Any], load_average: float, seconds: float) -> dict[str, Any]:
    """The report: everything that the table, the plots and the page are made of.

    Args:
        load_average: before it began; above about 0.2 other work came between.
        seconds: that the run took.
    """
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "load_average": load_average,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "sizes": sizes,
        "rows": [asdict(row) | {"met": row.met} for row in measured.rows],
        "points": measured.points,
        "notes": measured.notes,
    }


def lines(report: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """What, n, figure, target and whether it is met, in words."""
    return [
        (row["what"], f"{row['n']:,}", worded(row["figure"], row["unit"]), _target(row), _met(row["met"]))
        for row in report["rows"]
    ]


def worded(figure: float, unit: str) -> str:
    """A figure with its unit: three digits or so, as many as mean something."""
    if unit == "%":
        return f"{figure:.0%}"
    number = f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.3g}"
    return f"{number} {unit}".strip()


def _target(row: dict[str, Any]) -> str:
    if row["at_least"] is not None:
        return f"≥ {worded(row['at_least'], row['unit'])}"
    return "" if row["at_most"] is None else f"≤ {worded(row['at_most'], row['unit'])}"


def _met(met: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[met]


def table(report: dict[str, Any]) -> Table:
    """What a person reads."""
    shown = Table(box=box.SIMPLE, title=f"{report['machine']}; load before it began {report['load_average']:.1f}")
    for name in ("what", "n", "figure", "target", "met"):
        shown.add_column(name, justify="left" if name in ("what", "met") else "right")
    part = None
    for row, line in zip(report["rows"], lines(report), strict=True):
        if part not in (None, row["part"]):
            shown.add_section()
        part = row["part"]
        shown.add_row(*line)
    shown.caption = "\n".join(report["notes"]) or None
    return shown
