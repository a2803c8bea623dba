"""The tables of docs/performance.md, between markers, made from a report and from nothing else."""

import re
from typing import Any

from workers.bench.rows import lines

_MARKED = re.compile(r"(<!-- figures:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


NOT_MEASURED = "Not measured yet.\n"


def write_tables(page: str, report: dict[str, Any] | None) -> str:
    """The page with what stands between its markers made from ``report``. What was not run, or nothing was, says so."""

    def made(found: "re.Match[str]") -> str:
        start, name, end = found.groups()
        if report is None:
            return f"{start}{NOT_MEASURED}{end}"
        return f"{start}{_about(report) if name == 'about' else _table(report, name)}{end}"

    return _MARKED.sub(made, page)


def _about(report: dict[str, Any]) -> str:
    return (
        f"One run of {report['seconds'] / 60:.0f} minutes, {report['at'][:10]}, on {report['machine']}, "
        f"Python {report['python']}; load average before it began {report['load_average']:.1f}.\n"
    )


def _table(report: dict[str, Any], part: str) -> str:
    rows = [line for row, line in zip(report["rows"], lines(report), strict=True) if part in ("all", row["part"])]
    if not rows:
        return NOT_MEASURED
    head = ["| what | n | figure | target | met |", "|---|---:|---:|---:|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
