"""A refusal as a page: one sentence that says what to do. Under ``/api`` it stays a problem document."""

from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from annotations.pages.rendering import render
from triage.api import problems
from triage.domain.errors import BreakDue, NotAuthenticated, NotFound, TriageError

_NOT_PAGES = ("/api/", "/health", "/ready", "/metrics")


def install(app: FastAPI) -> None:
    """Say that there is no such page. Refusals of our own come as pages through ``problems.install(present=page)``."""

    @app.exception_handler(HTTPException)
    def not_found(request: Request, error: HTTPException) -> Response:
        if error.status_code == NotFound.status:
            return page(request, NotFound("There is no page at this address"))
        problem = TriageError(str(error.detail))
        problem.status = error.status_code
        return page(request, problem)


def page(request: Request, error: TriageError) -> Response:
    """The answer to a refused request: to sign in when nobody is signed in, else a page that says why."""
    if request.url.path.startswith(_NOT_PAGES):
        return problems.answer(error)
    if isinstance(error, NotAuthenticated):
        return _to_sign_in(request)
    if isinstance(error, BreakDue):
        return RedirectResponse("/wellbeing", 303)
    who = getattr(request.state, "who", None)
    return render(request, "problem.html", who=who, status=error.status, heading=error.title, detail=error.detail)


def _to_sign_in(request: Request) -> Response:
    target = "/sign-in"
    if request.method == "GET" and request.url.path != "/":
        target += f"?next={quote(request.url.path)}"
    if "HX-Request" in request.headers:  # a whole new page, not a piece of this one
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)
