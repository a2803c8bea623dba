"""The whole service as `triage up` runs it, on servers that the test may break, and a partner who does not give up."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.factories import report
from tests.scorers import free_port


@dataclass
class Partner:
    """Reports, and sends again with the same Idempotency-Key until it has an answer. Remembers what was accepted."""

    address: str
    key: str
    accepted: list[str] = field(default_factory=list)
    #: Answers and broken connections that made it send again, by status (0: no answer).
    sent_again: dict[int, int] = field(default_factory=dict)

    def report(self, texts: Sequence[str], *, batch: bool = True, seconds: float = 60) -> float:
        """Report until accepted; how many seconds that took."""
        lines = [json.dumps(report(text=text)) for text in texts]
        path = "/api/v1/reports/batch" if batch else "/api/v1/reports"
        key, began = str(uuid.uuid4()), time.monotonic()
        while True:
            status, answer = self.post(path, "\n".join(lines).encode(), key)
            if status == 202:
                results = answer["results"] if batch else [answer]
                self.accepted += [result["report_id"] for result in results]
                return time.monotonic() - began
            assert status in (0, 429, 503), (status, answer)  # never an error that a client could not repeat
            assert time.monotonic() < began + seconds, f"not accepted in {seconds} s: {status} {answer}"
            self.sent_again[status] = self.sent_again.get(status, 0) + 1
            time.sleep(0.2)

    def post(self, path: str, body: bytes, idempotency_key: str) -> tuple[int, dict]:
        """Status and JSON of one answer; status 0 where the connection broke."""
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": idempotency_key}
        request = urllib.request.Request(f"{self.address}{path}", body, headers, method="POST")  # noqa: S310 -- ours
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 -- ours
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)
        except (OSError, http.client.HTTPException):
            return 0, {}


@contextmanager
def web(port: int, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The web process alone, from when it answers."""
    environment = os.environ | {"TRIAGE_PORT": str(port)}
    with log.open("ab") as written, subprocess.Popen(_triage("web"), env=environment, stderr=written) as process:
        try:
            _await(f"http://127.0.0.1:{port}/health", process, log)
            yield process
        finally:
            process.kill()


@contextmanager
def up(log: Path, *, lanes: str, **settings: str) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Web, schedule and the workers of these lanes under the supervisor; the address, and the supervisor."""
    port = free_port()
    ours = {"TRIAGE_PORT": str(port), "TRIAGE_SCORER_PORT": "0", "TRIAGE_WORKER_LANES": lanes}
    ours |= {f"TRIAGE_{name.upper()}": value for name, value in settings.items()}
    with (
        log.open("ab") as written,
        subprocess.Popen(_triage("up"), env=os.environ | ours, stdout=written, stderr=written) as process,
    ):
        try:
            _await(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            finally:
                process.kill()  # and the kernel kills its children


def worker(lane: str, **settings: str) -> "subprocess.Popen[bytes]":
    """A worker process without a supervisor. Whoever starts it kills it."""
    ours = {f"TRIAGE_{name.upper()}": value for name, value in settings.items()}
    return subprocess.Popen(_triage("worker", lane), env=os.environ | ours, stderr=subprocess.DEVNULL)


def children(parent: int) -> dict[str, int]:
    """Process ids by what `triage up` runs: ``web``, ``schedule``, ``worker bulk`` and so on."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except OSError:  # it ended just now
            continue
        if int(fields[1]) == parent and "workers.cli" in command:
            found[" ".join(command[command.index("workers.cli") + 1 :]).strip()] = int(stat.parent.name)
    return found


def _triage(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "workers.cli", *arguments]


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 240
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 -- ours
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
