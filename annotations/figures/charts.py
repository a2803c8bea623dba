"""Charts as shapes: positions and classes, no styles. A template writes them as SVG; beside each stands its table.

All are drawn 320 wide, so that their words keep their size on a telephone and grow with the screen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from annotations.figures.reading import Bin, Flow, Trend

WIDTH = 320
_ROW = 24
_PLOT = 150


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    points: str
    kind: str


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    r: float
    kind: str


@dataclass(frozen=True, slots=True)
class Label:
    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(slots=True)
class Chart:
    """One picture: its shapes, its legend (kind, words), and one sentence that says what there is to see."""

    height: float
    summary: str
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    width: int = WIDTH


def stacked(
    rows: Mapping[str, Mapping[str, int]], parts: Mapping[str, tuple[str, str]], summary: str, *, left: int = 40
) -> Chart:
    """Rows of boxes end to end; ``parts`` gives each part's kind and words, in order.

    The sum stands at the end; ``left`` is the room for names.
    """
    chart = Chart(height=_ROW * len(rows) + 4, summary=summary, legend=list(parts.values()))
    most = max((sum(row.values()) for row in rows.values()), default=0) or 1
    room = WIDTH - left - 44
    for number, (name, row) in enumerate(rows.items()):
        x, y = float(left), number * _ROW + 4.0
        chart.labels.append(Label(left - 6, y + 13, name, "end"))
        for part, (kind, _) in parts.items():
            width = room * row.get(part, 0) / most
            if width:
                chart.boxes.append(Box(round(x, 1), y, round(width, 1), _ROW - 7, kind))
            x += width
        chart.labels.append(Label(round(x + 5, 1), y + 13, f"{sum(row.values()):,}"))
    return chart


def bars(rows: Mapping[str, int], summary: str) -> Chart:
    return stacked({name: {"n": n} for name, n in rows.items()}, {"n": ("s1", "")}, summary, left=138)


def flow(flows: Sequence[Flow], form: str, summary: str) -> Chart:
    """What came in as columns, what was decided as a line over them."""
    chart = Chart(height=_PLOT + 24, summary=summary, legend=[("s6", "received"), ("s4", "decided")])
    most = _axis(chart, max((max(each.received, each.decided) for each in flows), default=0))
    step = (WIDTH - 36) / max(len(flows), 1)
    points = []
    for number, each in enumerate(flows):
        x, height = 32 + number * step, _PLOT * each.received / most
        if each.received:
            width = max(step - 1, 1)
            chart.boxes.append(Box(round(x, 1), round(8 + _PLOT - height, 1), round(width, 1), round(height, 1), "s6"))
        points.append(f"{x + step / 2:.1f},{8 + _PLOT * (1 - each.decided / most):.1f}")
    chart.lines.append(Line(" ".join(points), "s4"))
    _times(chart, [each.at for each in flows], form)
    return chart


def reliability(bins: Sequence[Bin], summary: str) -> Chart:
    """Score against finding; on the diagonal a score means what it says. Dots grow with the number of scores."""
    chart = Chart(height=_PLOT + 40, summary=summary, legend=[("s4", "found, by score"), ("even", "as it should be")])
    left, room = 60, 220
    most = max((bin_.n for bin_ in bins), default=1)
    chart.lines.append(Line(f"{left},{8 + _PLOT} {left + room},8", "even"))
    points = [(left + room * bin_.mean, 8 + _PLOT * (1 - bin_.observed)) for bin_ in bins]
    chart.lines.append(Line(" ".join(f"{x:.1f},{y:.1f}" for x, y in points), "s4"))
    for bin_, (x, y) in zip(bins, points, strict=True):
        chart.dots.append(Dot(round(x, 1), round(y, 1), round(3 + 4 * (bin_.n / most) ** 0.5, 1), "s4"))
    for share in (0, 50, 100):
        chart.labels.append(Label(left - 6, 8 + _PLOT * (1 - share / 100) + 4, f"{share}%", "end"))
        chart.labels.append(Label(left + room * share / 100, 8 + _PLOT + 16, f"{share}%", "middle"))
    chart.labels.append(Label(left + room / 2, 8 + _PLOT + 30, "score", "middle"))
    return chart


def trend(row: Trend, summary: str) -> Chart:
    """Cases a day; a broken upright line where the level changed."""
    legend = [("s1", "cases a day")] + ([("mark", "level changed")] if row.marks else [])
    chart = Chart(height=_PLOT / 2 + 24, summary=summary, legend=legend)
    height = _PLOT / 2
    most = _axis(chart, max(row.counts, default=0), height=height)
    step = (WIDTH - 40) / max(len(row.counts) - 1, 1)
    points = [f"{32 + n * step:.1f},{8 + height * (1 - count / most):.1f}" for n, count in enumerate(row.counts)]
    chart.lines.append(Line(" ".join(points), "s1"))
    for mark in row.marks:
        x = round(32 + mark * step, 1)
        chart.lines.append(Line(f"{x},8 {x},{8 + height}", "mark"))
    _times(chart, [datetime(day.year, day.month, day.day) for day in row.days], "%-d %b", height=height)  # noqa: DTZ001 -- a date
    return chart


def _axis(chart: Chart, most: int, *, height: float = _PLOT) -> int:
    """Draw nothing, the middle and the most; returns the top of the scale, at least 2 and even."""
    top = max(2, most + most % 2)
    for share in (0, 0.5, 1):
        y = 8 + height * (1 - share)
        chart.lines.append(Line(f"32,{y:.1f} {WIDTH},{y:.1f}", "grid"))
        chart.labels.append(Label(28, round(y + 4, 1), f"{int(top * share):,}", "end"))
    return top


def _times(chart: Chart, times: Sequence[datetime], form: str, *, height: float = _PLOT) -> None:
    """The first, the middle and the last time under the plot."""
    if times:
        for x, anchor, when in (
            (32, "start", times[0]),
            (176, "middle", times[len(times) // 2]),
            (WIDTH, "end", times[-1]),
        ):
            chart.labels.append(Label(x, 8 + height + 15, when.strftime(form), anchor))
