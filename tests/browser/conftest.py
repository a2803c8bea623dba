"""A real Chromium at the real pages. Every page must stay on its own site and leave the console empty."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from annotations.pages.rendering import STATIC
from tests.people import PASSWORD
from triage.db import User

_ARGUMENTS = [
    "--no-sandbox",  # root in a container has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Chromium writes every answer above 399 to the console; a form that comes back with errors is a 422.
_EXPECTED = "the server responded with a status of 422"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("TRIAGE_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("no Chromium: set TRIAGE_CHROMIUM, or install the package chromium")
    assert (STATIC / "vendor" / "app.css").exists(), "the assets are not built: make assets"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield launched
        launched.close()


@dataclass
class Person:
    """Somebody at a browser."""

    page: Page
    home: str
    troubles: list[str] = field(default_factory=list)

    def sign_in(self, user: User, path: str = "/") -> None:
        self.page.goto(f"{self.home}/sign-in?next={path}")
        self.page.fill("#username", user.username)
        self.page.fill("#password", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("text=Sign out")
        self.page.wait_for_load_state("load")  # keys pressed before the scripts are there load whole pages

    def go(self, path: str) -> None:
        self.page.goto(self.home + path)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sees(self, selector: str) -> None:
        self.page.wait_for_selector(selector, timeout=10_000)


@pytest.fixture
def visit(browser: Browser, live_server: str) -> Iterator[Callable[..., Person]]:
    """Opens browsers for people; at the end none of them may have had trouble."""
    people: list[Person] = []
    contexts = []

    def open_for(user: User | None = None, path: str = "/", **options: object) -> Person:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        contexts.append(context)
        person = Person(context.new_page(), live_server)
        _listen(person)
        people.append(person)
        if user:
            person.sign_in(user, path)
        return person

    yield open_for
    for context in contexts:
        context.close()
    assert [trouble for person in people for trouble in person.troubles] == []


def _listen(person: Person) -> None:
    def console(message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind in ("error", "warning") and _EXPECTED not in text:
            person.troubles.append(f"console: {text}")

    own = urlsplit(person.home).netloc
    person.page.on("console", console)
    person.page.on("pageerror", lambda error: person.troubles.append(f"script: {error}"))
    person.page.on(
        "request",
        lambda request: None if urlsplit(request.url).netloc == own else person.troubles.append(f"asked {request.url}"),
    )


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which npm installs for the tests."""
    source = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
    assert source.exists(), "axe-core is not installed: make assets"
    return source.read_text(encoding="utf-8")
