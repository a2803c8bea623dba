"""Errors as ``application/problem+json`` (RFC 9457), naming the field and never quoting a post."""

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from triage import log, metrics
from triage.domain.errors import (
    BacklogFull,
    Conflict,
    Later,
    NotAuthenticated,
    QuotaExceeded,
    TriageError,
    Unavailable,
)

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5
#: SQLSTATEs of two transactions that stood in each other's way: deadlock, serialisation, lock not available.
_IN_THE_WAY = ("40P01", "40001", "55P03")
#: Classes of SQLSTATEs of a server that breaks the connection, shuts down or has no connection left.
_AWAY = ("08", "57", "53300")
_UNIQUE = "23505"
#: A standby, or a database that its operator made read-only: to the driver an error of the program, to us a server's.
_READ_ONLY = "25006"


def body(error: TriageError) -> dict[str, Any]:
    """The problem document of a refusal."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    if error.field:
        document["field"] = error.field
    if request_id := log.ids().get("request"):
        document["request_id"] = request_id
    return document


def answer(error: TriageError) -> JSONResponse:
    """A refusal as an HTTP answer."""
    headers = {}
    if isinstance(error, Later):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(_RETRY_SECONDS)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body(error), error.status, headers, media_type="application/problem+json")


def of_failure(error: Exception) -> TriageError:
    """What a client may know of a server's error. The error itself is not shown: its detail can quote a post."""
    if isinstance(error, PoolTimeout):
        return Unavailable("Too many requests at once; nothing was stored, send it again")
    if isinstance(error, RedisError):
        return Unavailable("Redis cannot be reached; try again")
    state = _sqlstate(error)
    if state in _IN_THE_WAY:
        return Unavailable("Two requests stood in each other's way; nothing was stored, send it again")
    if state == _UNIQUE:
        return Conflict("The same thing arrived twice at once; send it again")
    if isinstance(error, OperationalError) or state == _READ_ONLY:
        cannot = "be reached" if state is None or state.startswith(_AWAY) else "do this now"
        return Unavailable(f"The database cannot {cannot}; nothing was stored, try again")
    unforeseen = TriageError("The service made a mistake; nothing was stored. Please tell its operator")
    unforeseen.status, unforeseen.title = 500, "Error of the service"
    return unforeseen


def _sqlstate(error: Exception) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def install(app: FastAPI, present: Callable[[Request, TriageError], Response] | None = None) -> None:
    """Turn refusals, bad input and failing servers into answers.

    Args:
        present: how a refusal is shown; a problem document if not given.
    """
    show = present or (lambda _request, error: answer(error))

    @app.exception_handler(TriageError)
    def refused(request: Request, error: TriageError) -> Response:
        if isinstance(error, QuotaExceeded):
            metrics.quota_refusals.inc()
        if isinstance(error, BacklogFull):
            metrics.backlog_refusals.inc()
        return show(request, error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        problem = TriageError(first["msg"], field=field)
        problem.status, problem.title = 422, "Invalid input"
        return answer(problem)

    @app.exception_handler(OperationalError)
    @app.exception_handler(IntegrityError)
    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolTimeout)
    @app.exception_handler(RedisError)
    def failed(request: Request, error: Exception) -> Response:
        # Neither the message nor the traceback: a database names the values that it refuses.
        diagnosis = getattr(getattr(error, "orig", None), "diag", None)
        where = {"state": _sqlstate(error), "constraint": getattr(diagnosis, "constraint_name", None)}
        logger.error("a server refused or is away", extra={"reason": type(error).__name__} | where)
        return show(request, of_failure(error))

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> Response:
        response = show(request, of_failure(error))
        if request_id := log.ids().get("request"):  # this answer leaves outside of what gives the others their id
            response.headers["X-Request-ID"] = request_id
        return response
