"""``python -m workers.bench.plots FILE.json``: the plots of docs/performance.md, and the tables in it.

Draws with matplotlib, a development dependency. Everything between the page's markers is written anew from the file.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "triage"  # the same figures give the same file
from matplotlib import pyplot  # noqa: E402 -- after the choice of how to draw
from matplotlib.axes import Axes  # noqa: E402

from workers.bench.page import write_tables  # noqa: E402

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"

Points = Sequence[dict[str, Any]]


def draw(report: dict[str, Any], images: Path) -> list[Path]:
    """Draw what the report has points for; the files written."""
    pictures = {
        "progress": ("flow", _progress),
        "live": ("latency", _latency),
        "sweep": ("batches", _sweep),
        "growth": ("growth", _growth),
        "alternatives": ("alternatives", _alternatives),
    }
    written = []
    for name, (file, picture) in pictures.items():
        points = report["points"].get(name)
        if points:
            figure, axes = pyplot.subplots(figsize=(7.2, 3.6), layout="constrained")
            picture(axes, points)
            axes.grid(alpha=0.3)
            path = images / f"performance-{file}.svg"
            figure.savefig(path, metadata={"Date": None})
            pyplot.close(figure)
            written.append(path)
    return written


def _progress(axes: Axes, points: Points) -> None:
    axes.plot([point["seconds"] for point in points], [point["open"] for point in points])
    axes.set(xlabel="seconds after all were accepted", ylabel="cases open", title="Cases opened, over time")


def _latency(axes: Axes, points: Points) -> None:
    for name, words in (("calm", "live reports alone"), ("beside", "beside a bulk import")):
        waits = points[0][name]
        shares = [(number + 1) / len(waits) for number in range(len(waits))]
        axes.plot(waits, shares, label=words)
    axes.set(xlabel="seconds from 202 to case seen", ylabel="share of reports", title="How long a live report waits")
    axes.legend()


def _sweep(axes: Axes, points: Points) -> None:
    costs = axes.twinx()
    for workers in sorted({point["workers"] for point in points}):
        some = [point for point in points if point["workers"] == workers]
        sizes = [point["batch"] for point in some]
        plural = "" if workers == 1 else "s"
        axes.plot(
            sizes, [point["posts_per_second"] for point in some], "o-", label=f"{workers} worker{plural}, posts/s"
        )
        costs.plot(
            sizes, [point["overhead_ms"] for point in some], "x--", label=f"{workers} worker{plural}, ms outside"
        )
    axes.set_xscale("log", base=2)
    axes.set(xlabel="posts in a batch, at most", ylabel="posts a second", title="Size of a batch, and workers")
    costs.set_ylabel("ms a post outside the model")
    for each in (axes, costs):
        each.set_ylim(bottom=0)
    axes.legend(loc="lower left")
    costs.legend(loc="lower right")


def _growth(axes: Axes, points: Points) -> None:
    stored = [point["stored"] for point in points]
    costs = axes.twinx()
    axes.plot(stored, [point["posts_per_second"] for point in points], "o-", label="posts/s")
    costs.plot(stored, [point["overhead_ms"] for point in points], "x--", color="tab:orange", label="ms outside")
    axes.set(xlabel="posts stored before", ylabel="posts a second", title="The same work in a fuller database")
    costs.set_ylabel("ms a post outside the model")
    for each in (axes, costs):
        each.set_ylim(bottom=0)
    axes.legend(loc="lower left")
    costs.legend(loc="lower right")


def _alternatives(axes: Axes, points: Points) -> None:
    measured = [point for point in points if point["posts_per_second"]]
    axes.barh([point["what"] for point in measured], [point["posts_per_second"] for point in measured])
    axes.invert_yaxis()
    axes.set(xlabel="posts a second", title="One worker of one thread, the same model")


def main() -> None:
    """Draw, and write the page's tables."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m workers.bench.plots FILE.json")
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for path in draw(report, IMAGES):
        print(path.relative_to(ROOT))  # noqa: T201 -- a command line prints
    PAGE.write_text(write_tables(PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")


if __name__ == "__main__":
    main()
