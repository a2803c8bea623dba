"""The pages in which people review, approve and submit. ``install`` puts them into the web application."""

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from annotations.pages import (
    approval,
    batches,
    case,
    commands,
    dead_letters,
    desk_acts,
    figures,
    follow_ups,
    home,
    incidents,
    moving,
    queue,
    refusals,
    scrutiny,
    search,
    second_reading,
    submissions,
    wellbeing,
)
from annotations.pages.headers import SecurityHeaders
from annotations.pages.rendering import STATIC


def install(app: FastAPI) -> None:
    """Add the pages, their static files and their headers. Call it after the API's own error handlers are in."""
    for module in (
        home,
        commands,
        queue,
        case,
        desk_acts,
        moving,
        search,
        incidents,
        second_reading,
        follow_ups,
        scrutiny,
        approval,
        submissions,
        dead_letters,
        figures,
        wellbeing,
        batches,
    ):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(SecurityHeaders)
    refusals.install(app)
