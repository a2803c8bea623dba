"""The case page by keyboard: the shortest way, the palette, verdicts on reasons, drafts that survive."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from annotations import copies
from tests import factories
from tests.browser.conftest import Person
from tests.browser.test_accessibility import faults
from tests.people import People
from triage.db import Annotation, Case, Decision, Draft, Gloss
from triage.domain.scores import EvidenceSpan, Scores

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]
TEXT = "Tell @nightbus that we know where he gets off at the leisure centre, and bring your dipper"


def open_case(session: Session, people: People, **changes: object) -> Case:
    given = factories.scores(review=0.9, TTL=0.8)
    at = TEXT.index("dipper")
    spans = (
        EvidenceSpan(20, 27, "TTL", "model", 0.4),
        EvidenceSpan(at, at + 6, "WDISP", "lexicon", 0.1, "can mean a knife; also: a bird", "london", "high"),
    )
    scores = Scores(given.labels, given.contexts, given.review, 0.0, spans, None, {})
    return factories.open_case(session, people, scores, **({"text": TEXT} | changes))


def test_commonest_decision_takes_two_keystrokes_after_the_post_is_read(
    visit: Visits, session: Session, people: People
) -> None:
    open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    keystrokes = ["Shift+Digit0", "Shift+KeyV"]

    person.press(keystrokes[0])
    person.sees("#machine")  # what the machine made of it lies between the two
    person.press(keystrokes[1])
    person.sees(".app-done")

    assert len(keystrokes) < 3
    assert session.scalars(select(Decision.outcome)).all() == ["no_violation"]


def test_key_that_is_held_down_decides_nothing(visit: Visits, session: Session, people: People) -> None:
    open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")

    for _ in range(3):  # the second and third are repeats, as a keyboard sends them
        person.page.keyboard.down("0")
    person.page.keyboard.up("0")

    assert person.page.is_checked("input[value=BEN]")
    assert person.page.locator("#machine").count() == 0


def test_reasons_are_judged_by_keyboard_and_the_form_is_left_alone(
    visit: Visits, session: Session, people: People
) -> None:
    open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    person.press("Shift+Digit0")
    person.sees("#machine")
    person.press("y")
    person.page.keyboard.type("half a sentence")
    person.press("Escape", "z", "Enter")
    person.sees("#reason-1-confirmed[aria-pressed=true]")
    assert person.page.evaluate("document.activeElement.id") == "reason-1-confirmed"

    person.press("Tab", "Tab", "Tab", "Enter")
    person.sees("#reason-2-rejected[aria-pressed=true]")

    assert person.page.input_value("#reasons") == "half a sentence"
    rows = session.execute(select(Annotation.source, Annotation.verdict).order_by(Annotation.span_start))
    assert [tuple(row) for row in rows] == [("model", "confirmed"), ("lexicon", "rejected")]


def test_draft_survives_a_crash_of_the_browser(visit: Visits, session: Session, people: People) -> None:
    open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    person.press("Shift+Digit0")
    person.sees("#machine")
    person.press("r", "y")
    person.page.keyboard.type("It names a place")
    person.page.fill("#necessity", "It is near")
    person.sees("text=Draft saved")
    assert session.scalars(select(Draft.stage)).all() == ["final"]
    path = person.page.url.removeprefix(person.home)
    person.page.context.close()  # nothing is sent, nothing is asked

    again = visit(people.moderator, path)
    assert again.page.input_value("#reasons") == "It names a place"
    assert again.page.input_value("#necessity") == "It is near"
    assert again.page.is_checked("input[name=outcome][value=refer]")
    assert "is back" in again.page.inner_text("#draft-note")
    kept = again.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "names a place" not in kept  # the server keeps it, and the browser nothing


def test_draft_is_saved_by_a_button_without_scripts(visit: Visits, session: Session, people: People) -> None:
    open_case(session, people)
    person = visit(people.moderator, "/queue", java_script_enabled=False)
    page = person.page
    page.click("text=Review next")
    page.check("input[value=TTL]")
    page.click("text=Save draft")

    assert page.is_checked("input[value=TTL]")
    assert "is back" in page.inner_text("#draft-note")
    page.goto(f"{person.home}/commands")
    assert page.is_visible("text=Choose a code or an outcome and send the form at once")


def test_palette_finds_and_does_what_is_typed(visit: Visits, session: Session, people: People, axe: str) -> None:
    open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")

    person.press("Control+k")
    person.sees("#palette[open]")
    assert faults(person, axe) == []
    person.page.keyboard.type("no viol")
    assert person.page.locator("#palette-list [role=option]").all_inner_texts() == ["BEN No violation\n0"]
    person.press("Enter")

    assert person.page.locator("#palette[open]").count() == 0
    assert person.page.is_checked("input[value=BEN]")
    person.press("Control+k")
    person.page.keyboard.type("page: queue")
    person.press("Enter")
    person.sees("h1:has-text('Queue')")
    person.press("Control+k", "Escape")
    assert person.page.locator("dialog[open]").count() == 0


def test_every_state_of_the_page_is_accessible(visit: Visits, session: Session, people: People, axe: str) -> None:
    open_case(session, people)
    open_case(session, people, author_handle="@another")
    open_case(session, people, text=TEXT + " on Friday")
    copies.remember(session)
    session.commit()
    person = visit(people.moderator, "/queue", viewport={"width": 320, "height": 800})
    person.press("n")
    person.sees("text=Your own view")
    assert faults(person, axe) == []
    person.page.click("#show-handles")
    person.sees("text=@nightbus")
    person.press("Shift+Digit0")
    person.sees("#machine")
    assert person.page.is_visible("text=Exact copies: 1")
    assert person.page.is_visible("text=Similar posts: 1")

    person.press("q")
    person.page.fill("#term", "dipper")
    person.page.click("text=Add the reading")
    person.sees(".govuk-error-summary")
    assert faults(person, axe) == []
    person.page.fill("#reading", "a water bird")
    person.page.click("text=Add the reading")
    person.sees("#readings >> text=a water bird")
    person.press("z", "Enter")
    person.sees("[aria-pressed=true]")
    assert faults(person, axe) == []
    assert int(person.page.evaluate("document.scrollingElement.scrollWidth - innerWidth")) <= 0

    person.press("j", "Shift+KeyV")
    person.sees("text=1 copy was decided with it")
    assert faults(person, axe) == []
    assert session.scalars(select(Gloss.reading)).all() == ["a water bird"]
    assert len(session.scalars(select(Decision.id)).all()) == 2
    person.go("/commands")
    assert faults(person, axe) == []
