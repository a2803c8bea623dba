"""WCAG 2.2 AA as far as a machine can tell, on every page; and reflow on a narrow screen."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from annotations import handling, review
from tests import factories, referrals
from tests.browser.conftest import Person
from tests.people import People
from triage import assessment, audit, incidents
from triage.domain.scores import EvidenceSpan, Scores
from triage.domain.words import Lane

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]
TEXT = "We know where he gets off, bring your dipper, \u202eback\u202c"


def faults(person: Person, axe: str) -> list[str]:
    """What axe finds, one line each: rule and place."""
    person.page.evaluate(axe)
    found = person.page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{fault['id']} at {json.dumps(node['target'])}" for fault in found["violations"] for node in fault["nodes"]
    ]


def open_case(session: Session, people: People) -> None:
    given = factories.scores(review=0.9, TTL=0.8, contexts={"sport": 0.7})
    spans = (EvidenceSpan(0, 7, "TTL", "model", 0.4), EvidenceSpan(38, 44, "WDISP", "lexicon", 0.1, "a bird"))
    scores = Scores(given.labels, given.contexts, given.review, 0.0, spans, None, {"pipeline": "test"})
    factories.open_case(session, people, scores, text=TEXT, author_handle="@owl", url="https://chirper.example/1")


def test_sign_in(visit: Visits, axe: str) -> None:
    person = visit()
    person.go("/sign-in")

    assert faults(person, axe) == []


def test_moderators_pages(visit: Visits, session: Session, people: People, axe: str) -> None:
    open_case(session, people)
    factories.open_case(session, people, factories.NOT_ASSESSED, text="another")
    person = visit(people.moderator)
    assert faults(person, axe) == []
    for path in ("/queue", "/code-book"):
        person.go(path)
        assert faults(person, axe) == [], path

    person.go("/queue")
    person.press("n")
    person.sees("text=Your own view")
    assert faults(person, axe) == []
    person.press("1", "Control+Enter")
    person.sees(".govuk-error-summary")
    assert faults(person, axe) == []
    person.press("1", "0", "Control+Enter")
    person.sees("#machine")
    person.press("r")
    assert faults(person, axe) == []
    person.press("v", "Control+Enter")
    person.sees(".app-done")
    assert faults(person, axe) == []

    person.press("?")
    person.sees("dialog[open]")
    assert faults(person, axe) == []


def test_queue_and_its_pages(visit: Visits, session: Session, people: People, axe: str) -> None:
    """With a life at risk, an incident, a case on hold, a view and an error on them."""
    now = datetime.now(UTC)
    factories.open_case(session, people, factories.scores(review=0.95, urgent=0.9, TTL=0.95), text="one")
    asked = factories.open_case(session, people, text="two")
    incidents.open_incident(
        session, people.approver, title="Fire", note="At the quay", hours=1, queue=None, platform=None, now=now
    )
    review.claim(session, people.moderator, asked.id, now=now)
    handling.escalate(session, people.moderator, asked.id, note="Is it in scope?", now=now)
    reading = factories.open_case(session, people, text="three")
    review.claim(session, people.moderator, reading.id, now=now)
    session.commit()
    person = visit(people.moderator)
    for path in ("/queue", "/queue?queue=soon&tier=P1", f"/cases/{reading.id}/move", "/search"):
        person.go(path)
        assert faults(person, axe) == [], path
    person.go("/queue?tier=P1")
    person.page.click("text=Save view")
    person.sees(".govuk-error-summary")
    assert faults(person, axe) == []

    approver = visit(people.approver)
    for path in ("/questions", "/incidents", "/search"):
        approver.go(path)
        assert faults(approver, axe) == [], path


def test_approvers_pages(visit: Visits, session: Session, people: People, axe: str) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people, text="one"))
    referrals.approved(session, people, factories.open_case(session, people, text="two"))
    person = visit(people.approver)

    for path in ("/", "/approvals", f"/approvals/{row.id}", "/referrals"):
        person.go(path)
        assert faults(person, axe) == [], path


def test_analysts_pages(visit: Visits, people: People, axe: str) -> None:
    person = visit(people.analyst)
    for path in ("/submissions", "/submissions/new"):
        person.go(path)
        assert faults(person, axe) == [], path

    person.press("Control+Enter")
    person.sees(".govuk-error-summary")
    assert faults(person, axe) == []


def test_operators_page(visit: Visits, session: Session, people: People, axe: str) -> None:
    """By keyboard alone, and with what was given up on it."""
    factories.accept(session, people, text=TEXT)
    session.commit()
    claims = assessment.claim_posts(session, Lane.LIVE, limit=1, lease_seconds=60)
    assessment.record_failures(session, audit.system("tests"), claims, try_again=False, now=datetime.now(UTC))
    session.commit()
    person = visit(people.admin)
    assert faults(person, axe) == []
    person.go("/given-up")
    assert faults(person, axe) == []

    person.page.focus("td button")
    person.press("Enter")
    person.sees("text=1 is being tried again")
    assert faults(person, axe) == []


def test_operators_page_works_without_scripts(visit: Visits, session: Session, people: People) -> None:
    factories.accept(session, people, text=TEXT)
    session.commit()
    claims = assessment.claim_posts(session, Lane.LIVE, limit=1, lease_seconds=60)
    assessment.record_failures(session, audit.system("tests"), claims, try_again=False, now=datetime.now(UTC))
    session.commit()
    person = visit(people.admin, "/given-up", java_script_enabled=False)

    person.page.click("td button")
    person.sees("text=1 is being tried again")


def test_nothing_scrolls_sideways_at_320_pixels(visit: Visits, session: Session, people: People) -> None:
    """WCAG 1.4.10. The queue's table may scroll inside itself."""
    open_case(session, people)
    person = visit(people.moderator, "/queue", viewport={"width": 320, "height": 700})

    def sideways() -> int:
        return int(person.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth"))

    assert sideways() <= 0
    person.press("n")
    person.sees("text=Your own view")
    assert sideways() <= 0
    person.press("0", "Control+Enter")
    person.sees("#machine")
    person.press("r")
    assert sideways() <= 0
