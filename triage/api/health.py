"""Health, readiness and metrics: answers that tell the truth."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from triage import queue
from triage.db.session import engine

router = APIRouter(tags=["health"])


@router.get("/health")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/ready")
def ready(response: Response) -> dict[str, str]:
    """503 unless the database answers. Redis away is a warning: reports are kept and swept up later."""
    state = {"database": "ok", "redis": "ok"}
    try:
        with engine().connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        state["database"] = "away"
        response.status_code = 503
    try:
        queue.connection().ping()
    except (RedisError, OSError):
        state["redis"] = "away"
    return state


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
