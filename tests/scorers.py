"""A scorer for tests: the real process, or the application on a port of this machine around a model of the test's."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from triage.domain.scores import Scores
from workers.scorer import build
from workers.scoring.line import Line
from workers.scoring.requests import Scoring


@dataclass(frozen=True)
class Scorer:
    """Where it serves, and the file that it logs to."""

    address: str
    log: Path

    def score(self, key: str, **asked: Any) -> httpx2.Response:
        return self.post("/api/v1/score", key, asked)

    def post(self, path: str, key: str, body: Any) -> httpx2.Response:
        return httpx2.post(f"{self.address}{path}", json=body, headers=bearer(key), timeout=60)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def process(log: Path) -> Iterator[Scorer]:
    """`triage scorer`, from when it is ready; at the end it is asked to stop, and stops in good order."""
    port = free_port()
    environment = os.environ | {"TRIAGE_SCORER_PORT": str(port), "TRIAGE_TORCH_THREADS": "2"}
    command = [sys.executable, "-m", "workers.cli", "scorer"]
    with log.open("wb") as written, subprocess.Popen(command, env=environment, stdout=written, stderr=written) as child:
        try:
            scorer = Scorer(f"http://127.0.0.1:{port}", log)
            _await_ready(scorer, child)
            yield scorer
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
        finally:
            child.kill()


def _await_ready(scorer: Scorer, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 300
    while True:
        assert child.poll() is None, scorer.log.read_text()
        assert time.monotonic() < deadline, scorer.log.read_text()
        try:
            if httpx2.get(f"{scorer.address}/ready", timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)


@contextmanager
def around(
    score: Callable[[Sequence[str]], Sequence[Scores]], *, most_texts: int = 1000, **limits: Any
) -> Iterator[tuple[str, Line]]:
    """The application with a model of the test's own and ``limits`` of ``Scoring``; gives its address and its line."""
    port = free_port()
    line = Line(score, most_texts=most_texts)
    app = build(Scoring(line, "test", **limits))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}", line
    finally:
        server.should_exit = True
        thread.join(timeout=20)
