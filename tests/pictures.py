"""``make pictures``: the pages as they look on demonstration data, as PNG files for docs/.

Starts servers in a temporary folder, the web application, and a worker that scores the demonstration posts with the
shipped model; plays the scripted day, so that there is something to see; and drives Chromium. Times on the pages are
those of the run: apart from them and from numbers drawn at random, the pictures come out the same.
"""

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import update

from annotations.figures import counting
from tests.browser.conftest import _ARGUMENTS
from tests.people import PASSWORD, password_hash
from triage import queue
from triage.db import User
from triage.db.migrate import upgrade
from triage.db.session import engine, transaction
from triage.settings import current
from workers import demo, demo_day
from workers.embedded import temporary_servers

IMAGES = Path(__file__).parents[1] / "docs" / "images"
#: Few colours keep the files small: pages are flat.
_COLOURS = 96
_WIDTH, _HEIGHT = 1200, 860


def _stay(page: Page) -> None:
    """As it opens."""


def _take_next(page: Page) -> None:
    page.keyboard.press("n")
    page.wait_for_selector("text=Your own view")


def _judge_first(page: Page) -> None:
    _take_next(page)
    page.keyboard.press("1")
    page.select_option("#speech_act", "threat")
    page.select_option("#target", "named_or_identifiable_person")
    page.check("input[name=imminence][value=near]")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#machine")


def _draw_batch(page: Page) -> None:
    page.locator("input[name=range]:not([disabled])").first.check()
    page.click("text=Read some of them")
    page.wait_for_selector("text=Read all of them")


@dataclass(frozen=True, slots=True)
class Picture:
    """One file: who looks at which page, and what they do there first."""

    name: str
    username: str
    path: str
    first: Callable[[Page], None] = _stay
    height: int = _HEIGHT


PICTURES = (
    Picture("queue", "sasha", "/queue"),
    Picture("batches", "morgan", "/batches"),
    Picture("batch", "morgan", "/batches", _draw_batch),
    Picture("case", "morgan", "/queue", _take_next),
    Picture("review", "sasha", "/queue", _judge_first, 980),
    Picture("wellbeing", "morgan", "/wellbeing"),
    Picture("code-book", "morgan", "/code-book"),
    Picture("approvals", "ada", "/referrals", height=560),
    Picture("figures", "ada", "/figures?days=7", height=1500),
    Picture("submit", "alex", "/submissions/new"),
    Picture("submissions", "alex", "/submissions", height=560),
    Picture("given-up", "noor", "/given-up", height=560),
)


def main() -> int:
    chromium = os.environ.get("TRIAGE_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        typer.echo("No Chromium: set TRIAGE_CHROMIUM, or install the package chromium", err=True)
        return 1
    wanted = set(sys.argv[1:]) or {picture.name for picture in PICTURES}
    with _installation() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        for picture in PICTURES:
            if picture.name in wanted:
                typer.echo(f"{picture.name}.png, {_draw(browser, home, picture) // 1024} KiB")
        browser.close()
    return 0


def _draw(browser: Browser, home: str, picture: Picture) -> int:
    """Write the file; its size in bytes."""
    page = browser.new_page(viewport={"width": _WIDTH, "height": picture.height}, reduced_motion="reduce")
    page.goto(f"{home}/sign-in")
    page.fill("#username", picture.username)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Sign out")
    page.goto(home + picture.path)
    page.wait_for_load_state("load")
    picture.first(page)
    drawn = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    file = IMAGES / f"{picture.name}.png"
    drawn.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    return file.stat().st_size


@contextmanager
def _installation() -> Iterator[str]:
    """A service full of demonstration data, and its address."""
    with tempfile.TemporaryDirectory() as folder, temporary_servers() as servers:
        os.environ |= {
            "TRIAGE_DATABASE_URL": servers.database_url,
            "TRIAGE_REDIS_URL": servers.redis_url,
            "TRIAGE_DATA_DIR": folder,
            "TRIAGE_SUPPORT_CONTACTS": "A colleague of your shift; Peer support, extension 100; The night desk",
        }
        for cached in (current, engine, queue.connection):
            cached.cache_clear()
        upgrade()
        with contextlib.redirect_stdout(io.StringIO()):  # passwords that nobody needs
            demo.load()
        with transaction() as session:
            session.execute(update(User).values(password_hash=password_hash()))
        with _web() as home, _worker():
            demo_day.run(home, pace=0, say=typer.echo)
            with transaction() as session:
                counting.count(session, now=datetime.now(UTC) + timedelta(seconds=1))
            yield home
        engine().dispose()
        queue.connection().close()


@contextmanager
def _worker() -> Iterator[None]:
    """Somebody who scores what came in."""
    command = [sys.executable, "-m", "workers.cli", "worker", "live"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ring = threading.Event()

    def keep_ringing() -> None:  # what the schedule does
        while not ring.wait(1):
            queue.ring(queue.Bell.LIVE)
            queue.ring(queue.Bell.URGENT)

    bell = threading.Thread(target=keep_ringing)
    bell.start()
    urgent = subprocess.Popen([*command[:-1], "urgent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        ring.set()
        bell.join()
        for each in (process, urgent):
            each.terminate()
            each.wait(60)


@contextmanager
def _web() -> Iterator[str]:
    from workers.web import build

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build(), host="127.0.0.1", port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


if __name__ == "__main__":
    sys.exit(main())
