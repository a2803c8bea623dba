"""Health, readiness and metrics: answers that tell the truth."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from triage import watching
from triage.api import readiness
from triage.db.session import engine

#: A scrape gives up before Prometheus does (10 s), so that a slow database is not asked twice at once.
_SCRAPE_MILLISECONDS = 8_000

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"description": "Something is away; `reasons` names it"}})
def ready(
    response: Response,
    duty: Annotated[
        Literal["intake", "review", "scoring"] | None,
        Query(description="Ask for one duty only: a proxy may go on sending reports while Redis is away"),
    ] = None,
) -> dict[str, Any]:
    """200 if everything works. Otherwise 503 with the reasons, and which duties still work."""
    found = readiness.look()
    works = found.duties[duty] == readiness.WORKS if duty else not found.reasons
    response.status_code = 200 if works else 503
    return found.parts | {"ready": works, "reasons": found.reasons, "duties": found.duties}


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """What this process counted, and what is true of the whole service (``triage.watching``).

    Without a database the second half is missing and ``triage_database_up`` is 0.
    """
    stored = CollectorRegistry()
    try:
        with Session(engine()) as session:
            session.execute(text(f"SET LOCAL statement_timeout = {_SCRAPE_MILLISECONDS}"))
            families = list(watching.families(session))
    except SQLAlchemyError:
        families = []
    up = GaugeMetricFamily("triage_database_up", "Whether the database answers", value=bool(families))
    stored.register(_Families([up, *families]))
    return Response(generate_latest() + generate_latest(stored), media_type=CONTENT_TYPE_LATEST)


class _Families(Collector):
    """What the exposition format is written from."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
