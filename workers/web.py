"""The web process: the API and the pages under one roof. It never loads torch."""

from fastapi import FastAPI

from annotations import pages
from triage import log
from triage.api import health, problems, referrals, reports, submissions


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
    problems.install(app)
    for router in (health.router, reports.router, submissions.router, referrals.router):
        app.include_router(router)
    pages.install(app)
    return app


app = build()
