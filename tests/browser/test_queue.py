"""A moderator at the queue: narrows it down, keeps the choice, takes the next case, puts it on hold."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from tests import factories
from tests.browser.conftest import Person
from tests.people import People

pytestmark = pytest.mark.browser
Visits = Callable[..., Person]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_filter_view_next_and_hold(visit: Visits, session: Session, people: People, scripts: bool) -> None:
    factories.open_case(session, people, factories.scores(), text="the quiet one")
    wanted = factories.open_case(session, people, platform="Picstream", text="the wanted one")
    factories.open_case(session, people, text="another")
    person = visit(people.moderator, "/queue", java_script_enabled=scripts)
    page = person.page

    page.click("text=Filters and views")
    page.check("input[name=tier][value=P1]")
    page.fill("#platform", "picstream")
    page.click("text=Show these")
    page.wait_for_url("**/queue?*platform=picstream*")
    assert page.locator("tr[id^=case-]").count() == 1

    page.fill("#name", "Pictures")
    page.click("text=Save view")
    page.wait_for_selector(".app-views >> text=Pictures")
    page.click("nav[aria-label=Queues] >> text=Within the hour")
    page.wait_for_url("**/queue?queue=soon")
    assert page.locator("tr[id^=case-]").count() == 2
    page.click(".app-views >> text=Pictures")
    page.wait_for_url("**/queue?*platform=picstream*")
    page.click(f"#case-{wanted.number} summary")
    assert "P1, which wants a first look within 1 hour" in page.inner_text(f"#case-{wanted.number}")

    page.click("text=Within the hour")
    page.wait_for_url("**/queue?queue=soon")
    page.click("text=Review next of this queue")
    page.wait_for_selector("text=Your own view")
    assert page.inner_text(".app-post__text") == "the wanted one"
    page.click("text=Hold, assign or ask")
    page.wait_for_selector("text=What does it wait for?")
    page.check("input[name=reason][value=capture]")
    page.select_option("#until", "30")
    page.click("button:has-text('Put on hold')")
    page.wait_for_url("**/queue")
    assert "On hold until" in page.inner_text(f"#case-{wanted.number}")


def test_queue_reflows_at_320_pixels(visit: Visits, session: Session, people: People) -> None:
    factories.open_case(session, people, factories.scores(review=0.95, urgent=0.9, TTL=0.95), text="one")
    person = visit(people.moderator, "/queue?tier=P0", viewport={"width": 320, "height": 700})

    person.page.click("tr summary")

    assert person.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth") <= 0
