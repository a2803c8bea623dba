"""The scoring process: the model loaded once, behind three interfaces over HTTP. It keeps nothing of what it reads."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from classifiers.artefact import ArtefactError
from triage import tracing
from triage.api import problems
from triage.api.readiness import Question
from triage.api.watched import Watched
from triage.db.session import engine
from triage.domain.errors import InvalidInput, TriageError, Unavailable
from triage.domain.scores import Scores
from triage.settings import current
from workers import beats, jobs
from workers.scoring import counters, moderations, own, perspective
from workers.scoring.line import Line
from workers.scoring.requests import Scoring, scoring_of

#: Requests under way have so long to end after a stop; less than the supervisor's patience.
_STOP_SECONDS = 8
_NAME = "scorer"


def run() -> None:
    """Load the model, then serve until told to stop.

    Raises:
        InvalidInput: TRIAGE_SCORER_PORT is 0.
        Unavailable: no database is configured, or the model cannot be loaded.
    """
    settings = current()
    if settings.scorer_port == 0:
        raise InvalidInput("TRIAGE_SCORER_PORT is 0, which means that no scorer is wanted", field="scorer_port")
    engine()
    try:
        pipeline = jobs.pipeline()
    except ArtefactError as error:
        raise Unavailable(str(error)) from None

    def score(texts: Sequence[str]) -> Sequence[Scores]:
        with beats.busy():  # so that a model that hangs ends the process, and another is started
            return pipeline.score(texts)

    # uvicorn ends what is under way and raises the signal again; this lets us take our sign of life away then.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with beats.beating(_NAME, _NAME):
        uvicorn.run(
            build(Scoring(Line(score), pipeline.version)),
            host=settings.host,
            port=settings.scorer_port,
            log_config=None,
            access_log=False,  # an address may hold a key
            timeout_graceful_shutdown=_STOP_SECONDS,
        )


def build(scoring: Scoring) -> FastAPI:
    """The application around a line that this starts and closes."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        scoring.line.start()
        yield
        scoring.line.close()

    app = FastAPI(
        title="Triage scores",
        summary="Scores for texts, and nothing kept.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the address
        lifespan=running,
    )
    app.state.scoring = scoring
    for router in (own.router, moderations.router, perspective.router):
        app.include_router(router)
    app.add_api_route("/health", health, tags=["health"])
    app.add_api_route("/ready", ready, tags=["health"])
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    problems.install(app, present=_present)
    app.add_middleware(Watched)
    tracing.start("scorer")
    return app


def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


def ready(request: Request, response: Response) -> dict[str, str]:
    """503 unless texts are being scored and the database, which knows the keys, answers."""
    state = {"model": "ok" if scoring_of(request).line.alive else "stopped"}
    state["database"] = _database.answer() or "does not answer"
    if set(state.values()) != {"ok"}:
        response.status_code = 503
    return state


def _ask_database() -> str:
    try:
        with engine().connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return "away"
    return "ok"


_database = Question(_ask_database)


def metrics(request: Request) -> Response:
    """What this process did since it started."""
    counters.waiting.set(scoring_of(request).line.texts)
    return Response(generate_latest(counters.REGISTRY), media_type=CONTENT_TYPE_LATEST)


#: Refusals have the form that the clients of each address know; elsewhere that of the whole service.
_FORMS: dict[str, Callable[[TriageError], Response]] = {
    moderations.PATH: moderations.present,
    perspective.PATH: perspective.present,
}


def _present(request: Request, error: TriageError) -> Response:
    return _FORMS.get(request.url.path, problems.answer)(error)
