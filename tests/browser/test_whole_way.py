"""From nothing to a decided case and its export: ``triage up``, a browser, and the recipient's key."""

import csv
import hashlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.model]


@dataclass
class Installation:
    """A `triage up` that runs: its address, and what it printed."""

    process: subprocess.Popen[str]
    port: int
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Ready:"):
                self.ready.set()

    def printed_beside(self, name: str) -> str:
        """The password or key that was printed beside a name."""
        found = re.search(rf"^\s+{re.escape(name)}\s.*?(\S+)$", "".join(self.said), re.MULTILINE)
        assert found, f"{name} was not printed"
        return found.group(1)

    def triage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workers.cli", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)

    def get(self, path: str, key: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tmp_path.chmod(0o711)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    environment |= {
        "TRIAGE_DATA_DIR": str(tmp_path / "var"),
        "TRIAGE_PORT": str(port),
        "TRIAGE_SCORER_PORT": "0",
        "TRIAGE_WORKER_LANES": "urgent,live",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    running = Installation(process, port, environment)
    listener = threading.Thread(target=running.listen)
    listener.start()
    try:
        assert running.ready.wait(120), "".join(running.said)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(40)
        listener.join(10)
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0


def sign_in(browser: Browser, installation: Installation, username: str, display_name: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{installation.home}/sign-in")
    page.fill("#username", username)
    page.fill("#password", installation.printed_beside(display_name))
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Sign out")
    page.wait_for_load_state("load")
    return page


def refer(page: Page, home: str, recipient: str) -> int:
    """Take the next case and refer it; returns its number."""
    page.goto(f"{home}/queue")
    while page.locator("tbody tr").count() == 0:  # the workers load their model and open the first cases
        page.wait_for_timeout(500)
        page.reload()
    page.keyboard.press("n")
    page.wait_for_selector("text=Your own view")
    number = int(page.locator("h1").inner_text().split()[1])
    assert page.locator("#machine").count() == 0
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    if page.locator(".govuk-error-summary").or_(page.locator("#machine")).first.get_attribute("id") != "machine":
        page.select_option("#speech_act", "threat")
        page.select_option("#target", "named_or_identifiable_person")
        page.check("input[name=imminence][value=near]")
        page.keyboard.press("Control+Enter")
    page.wait_for_selector("#machine")
    page.check("input[name=outcome][value=refer]")
    page.fill("#reasons", "A threat with a place and a time, against somebody who can be identified.")
    page.select_option("#recipient_id", label=recipient)
    page.fill("#platform_policy_clause", "Violence and threats, section 2")
    page.select_option("#likelihood", "likely")
    page.check("input[name=possible_child][value=no]")
    for name in ("facts", "statement_of_reasons", "causal_path", "necessity", "proportionality", "least_intrusive"):
        page.fill(f"#{name}", "The post says when and where, and to whom; nothing less would protect the person named.")
    page.click("text=Record the decision")
    page.wait_for_selector(".app-done")
    return number


def approve(page: Page, home: str) -> None:
    page.goto(f"{home}/approvals")
    page.click("tbody a")
    page.wait_for_selector("button:has-text('Approve and send')")
    for box in page.locator("input[name^=checked_]").all():
        box.check()
    page.click("button:has-text('Approve and send')")
    page.wait_for_selector("text=Approved referrals")


def test_from_nothing_to_a_decided_case_and_its_export(browser: Browser, installation: Installation) -> None:
    moderator = sign_in(browser, installation, "morgan", "Morgan (moderator)")
    number = refer(moderator, installation.home, "Picstream")
    approver = sign_in(browser, installation, "ada", "Ada (approver)")
    approve(approver, installation.home)

    with approver.expect_download() as download:
        approver.click("a:has-text('JSON')")
    downloaded = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    status, listed = installation.get("/api/v1/referrals", installation.printed_beside("Picstream"))
    ours = json.loads(listed)["referrals"]
    path = f"/api/v1/referrals/{ours[0]['referral_id']}/export"
    exported = installation.get(f"{path}?format=json", installation.printed_beside("Picstream"))
    table = installation.get(f"{path}?format=csv", installation.printed_beside("Picstream"))
    refused = installation.get(f"{path}?format=json", installation.printed_beside("Northvale Constabulary"))

    assert (status, len(ours), exported[0], table[0], refused[0]) == (200, 1, 200, 200, 404)
    document = json.loads(exported[1])
    assert document == downloaded
    assert document["automation"]["automated_decision"] == "none"
    assert hashlib.sha256(document["content"]["text"].encode()).hexdigest() == document["content"]["text_sha256"]
    assert len(list(csv.DictReader(io.StringIO(table[1].decode("utf-8-sig"))))) == 1
    for command in (("doctor",), ("audit", "verify")):
        found = installation.triage(*command)
        assert found.returncode == 0, found.stdout
    assert number > 1000
