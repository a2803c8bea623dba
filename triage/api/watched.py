"""What is known of every request: an id of its own, how long it took by route and status, and its trace."""

import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triage import log, metrics, tracing

REQUEST_ID = "X-Request-ID"
#: A client's own id, if it can be nothing else: no sentence fits into it.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: A method is a label, and a client could make up any number of them.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "none"


class Watched:
    """Put it outside of everything else, so that waiting in line counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or str(uuid.uuid4())
        log.note(request=request_id)
        began, status = time.perf_counter(), 500
        method = scope["method"] if scope["method"] in _METHODS else "other"

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with tracing.request(method) as traced:
            try:
                await self._app(scope, receive, answer)
            finally:
                route = _route(scope)
                metrics.request_seconds.labels(method, route, str(status)).observe(time.perf_counter() - began)
                traced.answered(method, route, status, request_id)


def _given(scope: Scope) -> str | None:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _ID.fullmatch(given) else None


def _route(scope: Scope) -> str:
    """The template that the address matched, ``/cases/{number}``; never the address itself."""
    return getattr(scope.get("route"), "path", None) or _NO_ROUTE
