"""Dashboards: how much waits, whether it is looked at in time, how machine and people agree, what comes from where.

No figure is about a person, and none of a single case: the machine's part in them is shown to those who do not review.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from annotations.agreement import ENOUGH
from annotations.figures import charts, reading
from annotations.figures.charts import Chart
from annotations.figures.reading import AGES, SMALLEST, Figures
from annotations.pages.access import Visitor
from annotations.pages.keys import OUTCOMES
from annotations.pages.rendering import render
from triage import accounts
from triage.accounts import SignedIn
from triage.deps import NowDep, SessionDep
from triage.domain.priority import FIRST_LOOK, in_words
from triage.domain.words import Role

router = APIRouter(include_in_schema=False)

READERS = (Role.APPROVER, Role.AUDITOR, Role.SCRUTINEER, Role.ADMIN)
Days = Annotated[Literal["7", "28", "90"], Query()]

_AGE_KINDS = {age: (f"age{age}", words) for age, words in AGES.items()}
_LOOKS = {"kept": ("s3", "in time"), "late": ("s4", "late"), "waiting": ("none", "still in time, not looked at")}
_SCOPES = {
    "homicide": "Homicide and threats to life",
    "knife": "Knives",
    "gun": "Guns",
    "corrosive": "Corrosive substances",
    "county_lines": "County lines and exploitation",
    "group": "Rivalry between groups",
    "all": "Victims and people at risk",
}
_QUESTIONS = {
    "first_differs": "The first judgement, before the score was shown, differs from the machine's proposal",
    "changed": "Somebody changed their codes after the machine's reasons were shown",
    "to_machine": "Of those changes, the new codes were the machine's",
    "final_differs": "The decision differs from the machine's proposal",
}


@dataclass(frozen=True, slots=True)
class Table:
    """What a chart shows, as words and numbers: its text alternative, and a part of the CSV file."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page: heading, a sentence on how to read it, pictures, and the table."""

    table: Table
    note: str
    charts: Sequence[tuple[str, Chart]] = ()


@router.get("/figures")
def figures_page(request: Request, session: SessionDep, now: NowDep, who: Visitor, days: Days = "28") -> Response:
    _may_read(who)
    figures = reading.read(session, days=int(days), now=now)
    return render(request, "figures.html", who=who, days=days, figures=figures, panels=list(panels(figures)))


@router.get("/figures.csv")
def figures_file(session: SessionDep, now: NowDep, who: Visitor, days: Days = "28") -> Response:
    """All tables of the page under each other: table, line, column, value."""
    _may_read(who)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("table", "line", "column", "value"))
    for panel in panels(reading.read(session, days=int(days), now=now)):
        for row in panel.table.rows:
            for column, value in zip(panel.table.head[1:], row[1:], strict=True):
                writer.writerow((panel.table.name, row[0], column, value))
    name = f"figures-{now:%Y-%m-%d}-{days}-days.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def panels(figures: Figures) -> Iterable[Panel]:
    """Everything on the page, in order."""
    yield _backlog(figures)
    yield _first_look(figures)
    yield _flow(figures)
    yield _outcomes(figures)
    yield _override(figures)
    yield _calibration(figures)
    yield _agreement(figures)
    yield _trends(figures)
    yield _places(figures)


def _may_read(who: SignedIn) -> None:
    accounts.require(who.user, *READERS)


def _backlog(figures: Figures) -> Panel:
    rows = {str(tier): parts for tier, parts in figures.backlog.items()}
    waiting = sum(sum(parts.values()) for parts in rows.values())
    words = f"{waiting:,} cases wait, {figures.overdue:,} of them past the time of their first look"
    table = Table(
        "backlog",
        "What waits, by tier and age",
        ("Tier", *AGES.values(), "All"),
        [(tier, *(parts.get(age, 0) for age in AGES), sum(parts.values())) for tier, parts in rows.items()],
    )
    return Panel(table, f"{words}.", [("", charts.stacked(rows, _AGE_KINDS, words))])


def _first_look(figures: Figures) -> Panel:
    rows = {str(tier): parts for tier, parts in figures.first_look.items()}
    table = Table(
        "first_look",
        "First look in time",
        ("Tier", "Within", *(words for _, words in _LOOKS.values()), "Kept"),
        [
            (
                str(tier),
                in_words(FIRST_LOOK[tier]),
                *(parts.get(look, 0) for look in _LOOKS),
                _percent(parts.get("kept", 0), parts.get("kept", 0) + parts.get("late", 0)),
            )
            for tier, parts in figures.first_look.items()
        ],
    )
    note = (
        f"Cases received in the last {figures.days} days. Those that nobody has looked at and that are overdue count "
        "as late, so that leaving a case lying improves nothing."
    )
    return Panel(table, note, [("", charts.stacked(rows, _LOOKS, "First looks in time, late and open, by tier"))])


def _flow(figures: Figures) -> Panel:
    received, decided = sum(f.received for f in figures.by_day), sum(f.decided for f in figures.by_day)
    note = f"In {figures.days} days {received:,} cases came in and {decided:,} decisions were made."
    rows = [(f"{each.at:%Y-%m-%d}", each.received, each.decided) for each in figures.by_day]
    rows += [(f"{each.at:%Y-%m-%d %H:00} UTC", each.received, each.decided) for each in figures.by_hour]
    table = Table("flow", "In and out", ("Day, then hour", "Received", "Decided"), rows)
    pictures = [
        ("By day", charts.flow(figures.by_day, "%-d %b", note)),
        ("By hour, the last two days", charts.flow(figures.by_hour, "%-d %b %H:00", "Received and decided by hour")),
    ]
    return Panel(table, note, pictures)


def _outcomes(figures: Figures) -> Panel:
    rows = {OUTCOMES[outcome][0]: n for outcome, n in figures.outcomes.items()}
    table = Table("outcomes", "What was decided", ("Outcome", "Decisions"), list(rows.items()))
    picture = charts.bars(rows, "Decisions by outcome")
    return Panel(table, "No outcome is a target. A rise in referrals is not a success.", [("", picture)])


def _override(figures: Figures) -> Panel:
    rows: list[tuple[str | int, ...]] = []
    for part, words in _QUESTIONS.items():
        share = figures.override.get(part, reading.Share(0, 0))
        rows.append((words, share.hits, share.n, _percent(share.hits, share.n)))
    note = (
        "If people stopped differing from the machine, that would be a warning and no success. "
        "Decisions on cases that a machine assessed."
    )
    return Panel(Table("override", "People beside the machine", ("What", "Cases", "Of", "Share"), rows), note)


def _calibration(figures: Figures) -> Panel:
    rows = [
        (f"{bin_.low} to {bin_.low + 10} %", bin_.n, f"{100 * bin_.mean:.1f} %", f"{100 * bin_.observed:.1f} %")
        for bin_ in figures.bins
    ]
    error = figures.calibration_error
    note = "What a score means: of all codes scored about 30 %, three in ten should be found. Found is what the reader "
    note += "said before seeing the score; only cases that people decided count, which are not a random sample."
    if error is not None:
        note += f" Mean distance (expected calibration error): {100 * error:.1f} points."
    table = Table("calibration", "Scores against findings", ("Score", "Scores", "Mean score", "Found"), rows)
    return Panel(table, note, [("", charts.reliability(figures.bins, "Share found by score"))] if rows else ())


def _agreement(figures: Figures) -> Panel:
    rows = [
        (
            each.title,
            each.pairs.n,
            _percent(each.pairs.both + each.pairs.neither, each.pairs.n),
            each.pairs.both + each.pairs.one,
            "too few" if each.pairs.n < ENOUGH else "-" if (a := each.pairs.alpha) is None else f"{a:.2f}",
        )
        for each in figures.agreement
    ]
    note = (
        "Cases that two people judged, neither seeing the other's view. Alpha (Krippendorff, nominal): 1 is full "
        "agreement, 0 what chance gives; from 0.67 on it is usually taken as usable. Low agreement speaks of the code "
        "book first. "
        f"With fewer than {ENOUGH} cases no alpha is shown."
    )
    head = ("Topic", "Judged twice", "Same", "Named by one or both", "Alpha")
    return Panel(Table("agreement", "Agreement between readers", head, rows), note)


def _trends(figures: Figures) -> Panel:
    rows: list[tuple[str | int, ...]] = []
    pictures = []
    for each in figures.trends:
        marks = ", ".join(f"{each.days[mark]:%-d %b}" for mark in each.marks)
        title = _SCOPES.get(each.scope, each.scope)
        rows.append((title, each.total, marks or "none"))
        words = f"{title}: {each.total:,} cases; level changed: {marks or 'no'}"
        pictures.append((title, charts.trend(each, words)))
    note = (
        "Cases decided with a code of each topic, by day. A broken line marks a day on which the level changed: the "
        "seven days from it on differ from the seven before by more than three standard errors. It says when to look, "
        "not why: a new partner or a new model looks the same. Counts are of what was reported, not of what happens."
    )
    return Panel(Table("trends", "Topics over time", ("Topic", "Cases", "Level changed"), rows), note, pictures)


def _places(figures: Figures) -> Panel:
    rows = [
        (
            f"{_SCOPES.get(place.scope, place.scope)}, {place.area}",
            f"under {SMALLEST}, or hidden" if place.n is None else place.n,
        )
        for place in figures.places
    ]
    note = (
        f"By the force that a report named, else the country of the partner; nothing finer is kept. Fewer than "
        f"{SMALLEST} are not shown, nor a number from which they could be worked out."
    )
    return Panel(Table("places", "Topics by area", ("Topic and area", "Cases"), rows), note)


def _percent(hits: int, n: int) -> str:
    return f"{100 * hits / n:.0f} %" if n else "-"
