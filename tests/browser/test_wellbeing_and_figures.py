"""The page of one's own and the figures in a real browser: axe, a narrow screen, no scripts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from annotations.figures import counting
from tests import factories
from tests.browser.conftest import Person
from tests.browser.test_accessibility import faults
from tests.people import People
from triage.db import Figure

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]


def fill(session: Session, now: datetime) -> None:
    """Sixty invented days, as the schedule would have counted them."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)

    def add(name: str, at: datetime, part: str, n: int, hits: int = 0, total: float = 0) -> None:
        session.add(Figure(name=name, at=at, part=part, n=n, hits=hits, total=total))

    counting.count(session, now=now)
    waiting = {"P0": (2, 0, 0, 0, 0), "P1": (9, 4, 0, 0, 0), "P2": (31, 24, 9, 0, 0), "P3": (80, 60, 95, 40, 3)}
    for tier, ages in waiting.items():
        for age, n in enumerate(ages, start=1):
            if n:
                add("backlog", now.replace(minute=0, second=0, microsecond=0), f"{tier}|{age}", n, hits=int(age == 5))
    for back in range(60):
        at = today - timedelta(days=back)
        add("received", at, "", 400 + 90 * (back % 7 == 2))
        add("decided", at, "", 380 + 10 * (back % 3))
        for tier in ("P0", "P1", "P2", "P3"):
            add("first_look", at, f"{tier}|kept", 40)
            add("first_look", at, f"{tier}|late", 2)
        for outcome, n in (("no_violation", 210), ("refer", 40), ("safeguard", 22), ("route_out", 60)):
            add("outcome", at, outcome, n)
        for bin_ in range(10):
            n = 100 - bin_ * 8
            add("calibration", at, str(bin_), n, hits=int(n * (bin_ + 0.6) / 10), total=n * (bin_ + 0.5) / 10)
        add("override", at, "first_differs", 100, hits=22)
        add("override", at, "changed", 100, hits=9)
        add("agreement", at, "any|2", 6)
        add("agreement", at, "any|1", 2)
        add("agreement", at, "any|0", 9)
        add("trend", at, "knife|GB", 12 if back < 20 else 4)
        add("trend", at, "county_lines|47", 3)
    session.commit()


def sideways(person: Person) -> int:
    return int(person.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth"))


def test_figures_can_be_read_by_everybody(visit: Visits, session: Session, people: People, axe: str) -> None:
    fill(session, datetime.now(UTC))
    person = visit(people.approver)
    person.go("/figures?days=28")

    person.page.click("#backlog summary")
    assert "over 3 days" in person.page.inner_text("#backlog table")
    assert person.page.locator("#trends .app-chart__line--mark").count() == 1
    assert faults(person, axe) == []


def test_figures_on_a_narrow_screen_without_scripts(visit: Visits, session: Session, people: People) -> None:
    fill(session, datetime.now(UTC))
    person = visit(people.approver, "/figures", viewport={"width": 320, "height": 700}, java_script_enabled=False)
    person.go("/figures?days=28")

    charts = person.page.locator("main svg.app-chart")
    boxes = charts.evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")

    assert boxes
    assert max(boxes) <= 320


def test_break_by_keyboard(visit: Visits, session: Session, people: People, axe: str) -> None:
    factories.open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    person.go("/wellbeing")
    assert faults(person, axe) == []

    person.page.locator(".app-tick").first.check()
    person.page.click("text=Save topics")
    person.sees("text=Nobody else can see it")
    person.page.focus("text=I need a break")
    person.press("Enter")
    person.sees("text=Take the time you need")
    assert faults(person, axe) == []
    session.expire_all()
    person.go("/queue")
    person.sees("text=Review next")


def test_own_page_on_a_narrow_screen(visit: Visits, people: People) -> None:
    person = visit(people.moderator, "/wellbeing", viewport={"width": 320, "height": 700})
    person.go("/wellbeing")

    assert sideways(person) <= 0


def test_batch_by_keyboard_and_undo(visit: Visits, session: Session, people: People, axe: str) -> None:
    for number in range(3):
        factories.open_case(session, people, factories.scores(review=0.05), text=f"cake sale number {number}")
    person = visit(people.moderator)
    person.go("/batches")
    assert faults(person, axe) == []

    person.page.focus("#range-0")
    person.press("Space", "Enter")
    person.sees("text=Read all of them")
    assert faults(person, axe) == []
    person.page.locator("input[name=keep_out]").first.check()
    person.press("Escape")
    person.page.click("text=No violation in those left in")
    person.sees("text=2 decided as no violation")
    assert faults(person, axe) == []
    person.page.click("main button:has-text('Undo')")
    person.sees("text=Undone")
