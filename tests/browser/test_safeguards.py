"""A day of each role beside the reviewer: second reader, caller, safeguarding lead, approver, scrutineer."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests import factories, referrals
from tests.browser.conftest import Person
from tests.browser.test_accessibility import faults
from tests.people import People
from triage.db import FollowUp, FollowUpStep, Referral, ScrutinyReading
from triage.domain.gates import PossibleChild

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]
CHILD: dict[str, Any] = {
    "possible_child": PossibleChild.YES,
    "safeguarding_considered": True,
    "safeguarding_note": "The school's lead was told.",
}


def clean(person: Person, axe: str) -> None:
    assert faults(person, axe) == [], person.page.url


def test_second_reader_reads_blind_and_the_approver_sends_and_recalls(
    visit: Visits, session: Session, people: People, axe: str
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people), **CHILD)
    reader = visit(people.second_moderator, "/second-readings")
    clean(reader, axe)

    reader.page.click("tbody a")
    reader.sees("text=What you see")
    clean(reader, axe)
    assert reader.page.locator("text=Names a time and a place.").count() == 0
    reader.press("Control+Enter")
    reader.sees(".govuk-error-summary")
    clean(reader, axe)
    reader.press("0", "Control+Enter")
    reader.sees("text=A child may be concerned")
    clean(reader, axe)
    reader.page.check("input[name=agrees][value=yes]")
    reader.page.fill("#reasons", "I read it so too.")
    reader.press("Control+Enter")
    reader.sees("text=it goes on to an approver")

    approver = visit(people.approver, "/approvals")
    clean(approver, axe)
    approver.page.click("tbody a")
    approver.sees("text=I read it so too.")
    clean(approver, axe)
    approver.page.click("text=Approve and send to")
    approver.sees(".govuk-error-summary")
    clean(approver, axe)
    for box in approver.page.locator("input[name^=checked_]").all():
        box.check()
    approver.page.click("text=Approve and send to")
    approver.sees("text=Approved referrals")
    clean(approver, axe)
    approver.page.click("tbody a:has-text('Recall')")
    approver.sees("h1:has-text('Recall referral')")
    clean(approver, axe)
    approver.page.fill("#note", "A mistake of ours.")
    approver.page.click("text=Recall it")
    approver.sees("text=None any more")
    session.refresh(row)
    assert (row.status, row.note) == ("recalled", "A mistake of ours.")


def test_threat_to_life_is_phoned_step_by_step(visit: Visits, session: Session, people: People, axe: str) -> None:
    factories.open_case(session, people, text="He is outside now")
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    person.press("0", "Control+Enter")
    person.sees("#machine")
    person.press("e")
    person.sees("#child")
    person.page.fill("#reasons", "He says that he is there now.")
    person.press("Control+Enter")
    person.sees("text=Call now")
    clean(person, axe)

    person.page.click("text=Call now")
    person.sees("text=Phone the control room: 999")
    clean(person, axe)
    for number in range(4):
        person.page.fill("#told", "Control room, call taker 4417")
        person.press("Control+Enter")
        person.sees(f".app-steps li:nth-child({number + 1})")
    person.page.check("input[name=ending][value=done]")
    person.page.click("button:has-text('End it')")
    person.sees("text=Ended lately")
    clean(person, axe)
    assert session.scalars(select(FollowUp.ending)).all() == ["done"]
    assert len(session.scalars(select(FollowUpStep.id)).all()) == 4


def test_safeguarding_lead_refers_and_hands_back_without_scripts(
    visit: Visits, session: Session, people: People, axe: str
) -> None:
    from tests.integration.test_follow_ups import opened
    from triage.domain.follow_up import FollowUpKind

    opened(session, people, FollowUpKind.SAFEGUARD, PossibleChild.YES, text="They hurt me, says @owl")
    watcher = visit(people.safeguarding, "/safeguarding")
    clean(watcher, axe)
    watcher.page.click("tbody a")
    watcher.sees("text=They hurt me")
    clean(watcher, axe)

    person = visit(people.safeguarding, "/safeguarding", java_script_enabled=False)
    person.page.click("tbody a")
    person.page.select_option("#body", "NRM (National Referral Mechanism)")
    person.page.fill("#told", "first responder desk")
    person.page.click("text=Record it")
    person.sees("text=NRM (National Referral Mechanism), first responder desk")
    person.page.check("input[name=ending][value=handed_back]")
    person.page.fill("#reasons", "The words are from a film.")
    person.page.click("button:has-text('End it')")
    person.sees("text=Nothing is open.")
    assert session.scalars(select(FollowUp.ending)).all() == ["handed_back"]


def test_scrutineer_draws_decides_blind_and_compares(visit: Visits, session: Session, people: People, axe: str) -> None:
    referrals.refer(session, people, factories.open_case(session, people, text="Half three, ask @owl"))
    person = visit(people.scrutineer, "/scrutiny")
    clean(person, axe)

    person.page.click("button:has-text('Draw')")
    person.sees("text=Item 1")
    clean(person, axe)
    person.page.click("tbody a")
    person.sees("text=What would you decide?")
    assert "[handle]" in person.page.inner_text(".app-post")
    clean(person, axe)
    person.page.check("input[name=codes][value=BEN]")
    person.page.check("input[name=outcome][value=no_violation]")
    person.press("Control+Enter")
    person.sees("text=Another outcome")
    clean(person, axe)
    person.page.click("text=Back to the sample")
    person.sees("text=0 had the same outcome")
    clean(person, axe)
    assert session.scalars(select(ScrutinyReading.outcome)).all() == ["no_violation"]
    assert session.scalars(select(Referral.status)).all() == ["pending_approval"]


def test_pages_do_not_scroll_sideways_at_320_pixels(visit: Visits, session: Session, people: People) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people), **CHILD)
    narrow = {"viewport": {"width": 320, "height": 700}}
    places = (
        (people.second_moderator, ("/second-readings", f"/second-readings/{row.id}", "/follow-ups")),
        (people.approver, ("/approvals", f"/approvals/{row.id}")),
        (people.safeguarding, ("/safeguarding",)),
        (people.scrutineer, ("/scrutiny",)),
    )
    for user, paths in places:
        person = visit(user, **narrow)
        for path in paths:
            person.go(path)
            sideways = person.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
            assert sideways <= 0, path
