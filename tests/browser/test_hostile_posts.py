"""Posts that were written against whoever reads them: nothing runs, nothing can be clicked, the page stays whole."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tests import factories
from tests.browser.conftest import Person
from tests.people import People
from triage.db import Case
from triage.domain.scores import EvidenceSpan, Scores

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]
POSTS = [
    json.loads(line)["text"]
    for line in (Path(__file__).parents[1] / "data" / "hostile_posts.jsonl").read_text(encoding="utf-8").splitlines()
]

#: What is wrong with the page as it stands, in words.
FAULTS = """() => {
  const faults = [];
  if (window.hit !== undefined) faults.push("something ran");
  const shown = [...document.querySelectorAll("#post, .app-reports__list, .app-facts")];
  const inside = shown.flatMap((part) => [...part.querySelectorAll("*")]);
  const allowed = new Set("BDI BLOCKQUOTE BR CODE DD DIV DL DT H2 LI MARK NAV P SECTION SPAN STRONG SUP UL".split(" "));
  for (const element of inside) {
    if (!allowed.has(element.tagName)) faults.push(`a ${element.tagName} in what was posted`);
    for (const name of element.getAttributeNames())
      if (/^(on|style$|href$|src$|action$|hx-|data-hx)/.test(name)) faults.push(`an attribute ${name}`);
  }
  if (document.scrollingElement.scrollWidth > innerWidth) faults.push("the page is too wide");
  const button = document.querySelector("#work form[data-main] button.govuk-button");
  button.scrollIntoView({ block: "center" });
  const at = button.getBoundingClientRect();
  const top = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
  if (!button.contains(top)) faults.push("something lies over the button");
  if (document.querySelectorAll("h1").length !== 1) faults.push("another heading");
  if (document.dir === "rtl" || getComputedStyle(button).direction !== "ltr") faults.push("the direction leaked");
  return faults;
}"""


def read_by(session: Session, people: People, case: Case) -> str:
    """The case in the moderator's hands, without a claim for each of many."""
    case.lease_user_id, case.lease_until = people.moderator.id, datetime.now(UTC) + timedelta(hours=1)
    session.commit()
    return f"/cases/{case.id}"


def test_there_are_enough_of_them() -> None:
    assert len(POSTS) == len(set(POSTS)) >= 60


def test_hostile_posts_are_text_and_nothing_else(visit: Visits, session: Session, people: People) -> None:
    """Each as a post, as its author's name and as what a reporter says, at a desktop's width and a phone's."""
    paths = [
        read_by(
            session,
            people,
            factories.open_case(session, people, text=text, author_handle=text[:200], reason=text[:2000]),
        )
        for text in POSTS
    ]
    person = visit(people.moderator)
    person.page.on("dialog", lambda dialog: person.troubles.append(f"dialog: {dialog.message}"))

    found = {}
    for number, (path, text) in enumerate(zip(paths, POSTS, strict=True)):
        person.page.set_viewport_size({"width": 1280 if number % 2 else 320, "height": 800})
        person.go(path)
        if faults := person.page.evaluate(FAULTS):
            found[text[:60]] = faults

    assert found == {}


def test_hostile_evidence_is_marked_and_stays_text(visit: Visits, session: Session, people: People) -> None:
    text = POSTS[0] + " " + POSTS[30]
    given = factories.scores(review=0.9, TTL=0.9)
    spans = tuple(EvidenceSpan(start, start + 9, "TTL", "model", 0.1) for start in range(0, len(text) - 9, 3))
    scores = Scores(given.labels, given.contexts, given.review, 0.0, spans, None, {})
    factories.open_case(session, people, scores, text=text)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    person.press("0", "Control+Enter")
    person.sees("#machine")

    assert person.page.evaluate(FAULTS) == []
    assert person.page.evaluate("document.querySelectorAll('#post mark').length") > 3


def test_long_post_and_many_reports_stay_readable(visit: Visits, session: Session, people: People) -> None:
    text = ("We were at the park until nine and nothing happened, whatever they say. " * 300)[:20_000]
    case = factories.open_case(session, people, text=text, author_handle="@owl")
    for number in range(499):
        factories.accept(session, people, text=text, author_handle="@owl", reason=f"reason {number}")
    session.commit()
    person = visit(people.moderator, read_by(session, people, case), viewport={"width": 320, "height": 800})

    assert person.page.evaluate(FAULTS) == []
    assert "500 reports, page 1 of 25" in person.page.inner_text("#reports-heading")
    assert person.page.locator("#reports li").count() == 20
    person.press("0")  # what is chosen stays chosen while reports are turned over
    person.page.click("text=Later reports")
    person.sees("text=page 2 of 25")
    assert person.page.is_checked("input[value=BEN]")
    assert len(person.page.inner_text(".app-post__text")) >= 19_900
    assert len(person.page.content()) < 150_000
