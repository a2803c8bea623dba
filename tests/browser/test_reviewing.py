"""A moderator at work in a real browser."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests import factories
from tests.browser.conftest import Person
from tests.people import People
from triage.db import Case, Decision, Judgement, Referral

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]
TEXT = "Quite unmistakable words about Saturday's match"


def judge(person: Person, *keys: str) -> None:
    person.press("n")
    person.sees("text=Your own view")
    person.press(*keys, "Control+Enter")
    person.sees("#machine")


def test_no_violation_takes_five_keys_and_no_page_load(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people, factories.scores(review=0.9, TTL=0.87), text=TEXT)
    factories.open_case(session, people, text="the next one")
    person = visit(people.moderator, "/queue")
    person.page.evaluate("window.sameDocument = true")

    person.press("n")
    person.sees("text=Your own view")
    assert person.page.inner_text(".app-post__text") == TEXT
    assert "87%" not in person.page.content()

    person.press("0", "Control+Enter")
    person.sees("#machine")
    assert "87%" in person.page.content()

    person.press("v", "Control+Enter")
    person.sees(".app-done")
    assert TEXT not in person.page.content()

    person.press("n")
    person.sees("text=Your own view")
    assert person.page.inner_text(".app-post__text") == "the next one"
    assert person.page.evaluate("window.sameDocument") is True
    assert session.scalars(select(Decision.outcome)).all() == ["no_violation"]


def test_referral_by_keyboard_alone(visit: Visits, session: Session, people: People) -> None:
    """Keys choose, Tab walks the form; the grounds are there only once Refer is chosen."""
    factories.open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")

    person.press("1", "d", "a")
    person.page.keyboard.type("Threatens")
    person.press("Escape", "t")
    person.page.keyboard.type("A named")
    person.press("Escape", "f", "Space", "Control+Enter")
    person.sees("#machine")
    assert not person.page.is_visible("#recipient_id")

    person.press("y")
    person.page.keyboard.type("A person, a place and a time")
    person.press("Escape", "r")
    assert person.page.is_visible("#recipient_id")
    person.page.focus("#outcome-refer")
    typed = {
        "recipient_id": "Chirper",
        "platform_policy_clause": "Violent threats",
        "statement_of_reasons": "It names a place and a time",
        "causal_path": "He can be found there",
        "necessity": "It is near",
        "facts": "A place and a time",
        "likelihood": "Likely",
        "proportionality": "One post",
        "least_intrusive": "Nothing less would do",
        "safeguarding_note": "The school's lead was told",
    }
    for _ in range(40):
        person.press("Tab")
        name = person.page.evaluate("document.activeElement.id")
        if name in typed:
            person.page.keyboard.type(typed[name])
        if name == "safeguarding_considered":
            person.press("Space")
        if name == "least_intrusive":
            break
    person.press("Control+Enter")
    person.sees(".app-done")

    assert session.scalars(select(Referral.status)).all() == ["pending_approval"]
    judgement = session.scalars(select(Judgement).where(Judgement.stage == "first")).one()
    assert (judgement.codes, judgement.speech_act, judgement.imminence) == (["TTL", "DOX"], "threat", "imminent")


def test_error_takes_the_focus_and_nothing_typed_is_lost(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people)
    person = visit(people.moderator, "/queue")
    judge(person, "0")

    person.press("y")
    person.page.keyboard.type("n0v r?")  # letters in a field are letters
    person.press("Control+Enter")
    person.sees(".govuk-error-summary")

    assert person.page.evaluate("document.activeElement.className") == "govuk-error-summary"
    assert person.page.input_value("#reasons") == "n0v r?"
    person.page.click(".govuk-error-summary a")
    assert person.page.evaluate("document.activeElement.name") == "outcome"


def test_keeping_the_case_longer_leaves_the_form_alone(visit: Visits, session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    person = visit(people.moderator, "/queue")
    judge(person, "0")
    person.page.fill("#reasons", "half a sentence")
    session.refresh(case)
    until = case.lease_until

    with person.page.expect_response(lambda answer: answer.request.method == "GET" and "/cases/" in answer.url):
        person.page.click("text=Keep longer")

    session.refresh(case)
    assert case.lease_until > until
    assert person.page.input_value("#reasons") == "half a sentence"


def test_policy_text_stands_beside_the_chosen_codes(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people)
    person = visit(people.moderator, "/queue")
    person.press("n")
    person.sees("text=Your own view")
    assert person.page.locator("[data-policy]:visible").count() == 0

    person.press("7", "l")

    assert person.page.locator("[data-policy]:visible h3").all_inner_texts() == [
        "CORR Corrosive attack",
        "CLR Recruitment or exploitation for county lines",
    ]
    person.press("0")  # no violation stands alone
    assert person.page.locator("input[name=codes]:checked").evaluate_all("all => all.map(b => b.value)") == ["BEN"]


def test_single_keys_can_be_turned_off(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people)
    person = visit(people.moderator, "/queue")

    person.press("?")
    person.sees("dialog[open]")
    person.page.click("[data-single-keys]")
    person.press("Escape", "n")
    person.page.wait_for_timeout(200)
    assert person.page.url.endswith("/queue")

    person.page.click("text=? Keys")
    person.page.click("[data-single-keys]")
    person.press("Escape", "n")
    person.sees("text=Your own view")


def test_the_browser_keeps_no_text(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people, text=TEXT)
    person = visit(people.moderator, "/queue")
    judge(person, "0")
    person.press("v", "Control+Enter")
    person.sees(".app-done")

    kept = person.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    person.page.go_back()
    person.page.wait_for_load_state("networkidle")

    assert "unmistakable" not in kept
    assert "unmistakable" not in person.page.content()


def test_review_works_without_scripts(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people, text=TEXT)
    person = visit(people.moderator, "/queue", java_script_enabled=False)
    page = person.page

    page.click("text=Review next")
    page.check("input[value=BEN]")
    page.click("text=Save my view")
    assert not page.is_visible("#recipient_id")
    page.check("input[value=refer]")
    assert page.is_visible("#recipient_id")
    page.check("input[value=no_violation]")
    page.click("text=Record the decision")

    assert "no violation" in page.inner_text("h1")
    assert session.scalars(select(Case.status)).all() == ["decided"]


def test_inline_script_does_not_run(visit: Visits, session: Session, people: People) -> None:
    person = visit(people.moderator, "/queue")

    person.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        }"""
    )

    assert person.page.evaluate("window.ran") is None
    assert [trouble for trouble in person.troubles if "Content Security Policy" in trouble] != []
    person.troubles.clear()
