"""How many requests the application works on at once, so that it never waits for itself.

A request may hold a database connection while it waits for a thread, and a thread may wait for a connection. With
more requests at work than the pool has connections, each can end up waiting for the other.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Bytes of a body that are waited for before a request takes a slot: any form, any single report.
_AHEAD = 65_536


class Slots:
    """Lets ``most`` requests at once into ``app``; the others wait in line, first come first served.

    A slot is held only while the application works: not while a body is on its way, and not while the answer
    leaves. So a slow client holds none.

    Args:
        most: keep it below the size of the database's pool (``triage.db.session``).
        apart: paths with a line of their own, and how many of those requests at once.
        free: paths that never wait.
    """

    def __init__(
        self, app: ASGIApp, *, most: int, apart: Mapping[str, int] | None = None, free: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._free = free
        self._line = asyncio.Semaphore(most)
        self._apart = {path: asyncio.Semaphore(limit) for path, limit in (apart or {}).items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._free:
            await self._app(scope, receive, send)
            return
        turn = _Turn(self._apart.get(scope["path"], self._line), receive, send)
        if not await turn.body_is_here():
            return  # the client went away; there is nobody to answer
        await turn.take()
        try:
            await self._app(scope, turn.receive, turn.send)
        finally:
            turn.give_back()


class _Turn:
    """One request on its way through."""

    def __init__(self, line: asyncio.Semaphore, receive: Receive, send: Send) -> None:
        self._line = line
        self._receive = receive
        self._send = send
        self._ahead: list[Message] = []
        self._more_to_come = True
        self._holds = False

    async def body_is_here(self) -> bool:
        """Wait for the body, or for the first part of a large one. False when the client is gone."""
        size = 0
        while self._more_to_come and size < _AHEAD:
            message = await self._next()
            if message["type"] == "http.disconnect":
                return False
            size += len(message.get("body", b""))
            self._ahead.append(message)
        return True

    async def take(self) -> None:
        await self._line.acquire()
        self._holds = True

    def give_back(self) -> None:
        if self._holds:
            self._holds = False
            self._line.release()

    async def receive(self) -> Message:
        """What the application reads: the slot is free from the first wait for the network to the last."""
        if self._ahead:
            return self._ahead.pop(0)
        if not self._more_to_come:  # listens for the client to go away, while it works or answers
            return await self._receive()
        self.give_back()
        message = await self._next()
        if not self._more_to_come:
            await self.take()
        return message

    async def send(self, message: Message) -> None:
        """The transaction is over when the answer begins (``triage.deps``), so the slot is free from then on."""
        self.give_back()
        await self._send(message)

    async def _next(self) -> Message:
        message: dict[str, Any] = dict(await self._receive())
        self._more_to_come = message["type"] == "http.request" and message.get("more_body", False)
        return message
