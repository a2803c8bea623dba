"""More requests at once than the database has connections, and clients that are slow on purpose."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.types import Message, Receive, Scope, Send

from tests.factories import report
from tests.people import PASSWORD, People
from triage import accounts
from triage.api.slots import Slots
from triage.db.session import POOL_OVERFLOW, POOL_SIZE, engine
from triage.deps import SESSION_COOKIE
from workers import web

MANY = 120


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: Playwright's synchronous interface keeps a loop running in the main one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def all_at_once(ask: Callable[[httpx2.AsyncClient, int], Awaitable[httpx2.Response]]) -> Counter[int]:
    """The statuses of many requests that are under way together."""

    async def gather() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=MANY)) as client:
            return await asyncio.gather(*(ask(client, i) for i in range(MANY)))

    return Counter(answer.status_code for answer in run(gather()))


def test_many_reports_at_once_are_all_accepted(live_server: str, people: People) -> None:
    headers = {"Authorization": f"Bearer {people.partner_key}"}
    address = f"{live_server}/api/v1/reports"

    began = time.monotonic()
    answers = all_at_once(lambda client, i: client.post(address, json=report(text=f"post {i}"), headers=headers))

    assert answers == {202: MANY}
    assert time.monotonic() - began < 25, "something waited for a connection until it gave up"


def test_many_people_at_once_all_see_their_page(live_server: str, session: Session, people: People) -> None:
    token = accounts.sign_in(session, username="morgan", password=PASSWORD, now=datetime.now(UTC), hours=1)
    session.commit()
    headers = {"Cookie": f"{SESSION_COOKIE}={token}"}

    answers = all_at_once(lambda client, _: client.get(f"{live_server}/queue", headers=headers))

    assert answers == {200: MANY}


@pytest.mark.parametrize(("announced", "sent"), [(500, 1), (500_000, 200_000)], ids=["a report", "a batch"])
def test_slow_senders_hold_nothing(live_server: str, people: People, announced: int, sent: int) -> None:
    head = (
        f"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {people.partner_key}\r\n"
        f"Content-Length: {announced}\r\n\r\n"
    )
    with ExitStack() as open_sockets:
        for _ in range(40):
            address = urlsplit(live_server)
            slow = open_sockets.enter_context(socket.create_connection((address.hostname, address.port)))
            slow.sendall(head.encode() + b" " * sent)

        for _ in range(10):  # whatever could be taken is taken by the time of the last one
            assert httpx2.get(f"{live_server}/ready", timeout=5).json()["database"] == "ok"

        with engine().connect() as connection:
            held = connection.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"))
        assert held == 0


def test_slow_reader_holds_nothing() -> None:
    """One slot; the first client does not take its answer, and the second has its own."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def never_taken(message: Message) -> None:
        await asyncio.Event().wait()

    async def two_clients() -> list[Message]:
        slots = Slots(application, most=1)
        taken: list[Message] = []

        async def take(message: Message) -> None:
            taken.append(message)

        first = asyncio.create_task(slots({"type": "http", "path": "/"}, receive, never_taken))
        await asyncio.wait_for(slots({"type": "http", "path": "/"}, receive, take), timeout=5)
        first.cancel()
        return taken

    assert [message["status"] for message in run(two_clients())] == [200]


def test_requests_at_work_are_fewer_than_connections() -> None:
    assert web._AT_ONCE + web._SIGN_INS_AT_ONCE < POOL_SIZE + POOL_OVERFLOW
