"""Errors as ``application/problem+json`` (RFC 9457), naming the field and never quoting a post."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from triage.domain.errors import NotAuthenticated, QuotaExceeded, TriageError

logger = logging.getLogger(__name__)


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
    return document


def answer(error: TriageError) -> JSONResponse:
    """A refusal as an HTTP answer."""
    headers = {}
    if isinstance(error, QuotaExceeded):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body(error), error.status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Turn refusals, bad input and a lost database into problem documents."""

    @app.exception_handler(TriageError)
    def refused(request: Request, error: TriageError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        problem = TriageError(first["msg"], field=field)
        problem.status, problem.title = 422, "Invalid input"
        return answer(problem)

    @app.exception_handler(OperationalError)
    @app.exception_handler(RedisError)
    def away(request: Request, error: Exception) -> JSONResponse:
        logger.error("a server is away", extra={"reason": type(error).__name__})
        problem = TriageError("The database cannot be reached; nothing was stored, try again")
        problem.status, problem.title = 503, "Temporarily unavailable"
        return answer(problem)
