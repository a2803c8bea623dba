"""Who calls: partners and reviewers over HTTP, each on a connection that stays open."""

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
#: The web process closes a connection that lay idle for five.
_STALE_SECONDS = 3.0
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how many seconds it took. Status 0: nothing did."""

    status: int
    body: bytes
    location: str
    seconds: float


@dataclass
class Caller:
    """One client. Not for several threads at once."""

    address: str
    headers: Mapping[str, str]
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)
    _used: float = field(default=0.0, init=False)

    def call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request; a broken connection is an answer too."""
        if time.monotonic() - self._used > _STALE_SECONDS:
            self.close()  # the server is about to; a browser would notice, and send again
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address, timeout=120)
        began = time.perf_counter()
        try:
            self._connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = self._connection.getresponse()
            read = answer.read()
            self._used = time.monotonic()
            return Answer(answer.status, read, answer.headers.get("location", ""), time.perf_counter() - began)
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(0, b"", "", time.perf_counter() - began)

    def submit(self, path: str, token: str) -> Answer:
        """Send a form that has no fields but its token."""
        return self.call("POST", path, f"csrf_token={token}".encode(), _FORM)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def partner(address: str, key: str) -> Caller:
    return Caller(address, {"Authorization": f"Bearer {key}"})


def reviewer(address: str, cookie: str) -> Caller:
    return Caller(address, {"Cookie": f"triage_session={cookie}"})


def token_of(page: bytes) -> str:
    """The CSRF token in a page's forms; empty where it has none."""
    found = _TOKEN.search(page.decode())
    return found.group(1) if found else ""


def all_at_once(work: Callable[[_T], _R], of: Sequence[_T]) -> list[_R]:
    """Run ``work`` for each at the same time, in a thread each, all let go at one moment."""
    ready = threading.Barrier(len(of))

    def go(one: _T) -> _R:
        ready.wait()
        return work(one)

    with ThreadPoolExecutor(len(of)) as threads:
        return list(threads.map(go, of))


def send_batches(address: str, key: str, texts: Iterable[bytes], *, lines: int, clients: int) -> list[Answer]:
    """Send reports by the batch endpoint, so many ``lines`` in a request, from so many clients. In no order."""
    bodies: list[bytes] = []
    some: list[bytes] = []
    for each in texts:
        some.append(each)
        if len(some) == lines:
            bodies.append(b"\n".join(some))
            some = []
    if some:
        bodies.append(b"\n".join(some))
    callers = [partner(address, key) for _ in range(clients)]

    def send(number: int) -> list[Answer]:
        return [callers[number].call("POST", "/api/v1/reports/batch", body) for body in bodies[number::clients]]

    answers = [answer for found in all_at_once(send, range(clients)) for answer in found]
    for caller in callers:
        caller.close()
    return answers
