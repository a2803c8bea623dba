"""The web process: the API and the pages under one roof. It never loads torch."""

from fastapi import FastAPI

from annotations import pages
from annotations.pages import refusals
from triage import log, tracing
from triage.api import health, problems, referrals, reports, submissions
from triage.api.slots import Slots
from triage.api.watched import Watched

#: Requests at work at once, and sign-ins beside them: together fewer than the pool's 30 connections. A sign-in hashes a
#: password, which is slow on purpose; however many come, they wait for each other and for nobody else.
_AT_ONCE = 24
_SIGN_INS_AT_ONCE = 4


def build() -> FastAPI:
    """The application."""
    log.configure()
    app = FastAPI(
        title="Triage",
        summary="Reports of serious violence on social media in; referrals decided by people out.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    for router in (health.router, reports.router, submissions.router, referrals.router):
        app.include_router(router)
    pages.install(app)
    problems.install(app, present=refusals.page)
    sign_ins = {"/sign-in": _SIGN_INS_AT_ONCE}
    app.add_middleware(Slots, most=_AT_ONCE, apart=sign_ins, free=frozenset({"/health", "/ready"}))
    app.add_middleware(Watched)
    tracing.start("web")
    return app


app = build()
