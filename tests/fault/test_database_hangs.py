"""A database that neither answers nor refuses: whoever asks how the service is gets an answer, and a true one."""

import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fault import hands
from tests.fault.promises import assert_kept, wait_until
from tests.fault.service import Partner, web
from tests.people import People
from tests.scorers import free_port
from workers.embedded import EmbeddedServers

pytestmark = pytest.mark.fault

#: Longer than any probe of a proxy or a container waits.
SECONDS = 20
#: More than the service works on at once.
REQUESTS = 40


def get(url: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON; an error where there is no answer in time."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 -- ours
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


@contextmanager
def stopped(postmaster: int) -> Iterator[None]:
    """PostgreSQL with all its processes: connections are taken by the kernel, and nobody ever says a word."""
    pids = [postmaster, *_children(postmaster)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def test_database_that_hangs_under_a_running_service(people: People, servers: EmbeddedServers, tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    partner = Partner(address, people.partner_key)
    with web(port, tmp_path / "log"):
        partner.report(["before it hung"])
        sending = [threading.Thread(target=partner.report, args=([f"while it hung {n}"],)) for n in range(REQUESTS)]
        with stopped(servers.pids["postgres"]):
            for thread in sending:
                thread.start()
            answers = [get(f"{address}/health"), get(f"{address}/ready"), get(f"{address}/ready?duty=intake")]
        for thread in sending:
            thread.join(60)
        wait_until(lambda: get(f"{address}/ready")[0] == 200, seconds=SECONDS, what="being ready again")

    (health, _), (ready, said), (intake, _) = answers
    assert (health, ready, intake) == (200, 503, 503)
    assert said["database"] == "does not answer"
    assert said["reasons"][0].endswith("nothing can be accepted or reviewed")
    assert set(said["duties"].values()) == {"does not work"}
    assert len(partner.accepted) == 1 + REQUESTS
    hands.work_until_all_open()
    assert_kept(partner.accepted)


def test_address_where_somebody_listens_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a firewall, or another service, at the database's address."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://triage@127.0.0.1:{silent.getsockname()[1]}/triage"
        monkeypatch.setenv("TRIAGE_DATABASE_URL", url)
        with web(port, tmp_path / "log"):
            answers = [get(f"http://127.0.0.1:{port}{path}") for path in ("/health", "/ready", "/ready")]
            status, _ = Partner(f"http://127.0.0.1:{port}", "tk_any").post("/api/v1/reports", b"{}", "a key")

    (health, _), (ready, said), (again, _) = answers
    assert (health, ready, again) == (200, 503, 503)
    assert said["database"] == "does not answer"
    assert said["schema"] == said["workers"] == "unknown"
    assert status == 503  # whoever reports is told to come again
