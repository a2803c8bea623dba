"""Health, readiness and metrics: answers that tell the truth."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from triage.api import readiness
from triage.db import Capture, Case, Post, PostScores, Report
from triage.db.session import engine
from triage.domain.lifecycle import CaseStatus
from triage.domain.scores import NotAssessed
from triage.domain.words import CaptureStatus, Lane, ScoringStatus

router = APIRouter(tags=["health"])


@router.get("/health")
def health() -> dict[str, str]:
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
    """Counters of this process, and what all processes did, counted in the database.

    Without a database the second half is missing and ``triage_database_up`` is 0.
    """
    stored = CollectorRegistry()
    try:
        with engine().connect() as connection:
            families = list(_stored(connection))
    except SQLAlchemyError:
        families = []
    up = GaugeMetricFamily("triage_database_up", "Whether the database answers", value=bool(families))
    stored.register(_Families([up, *families]))
    return Response(generate_latest() + generate_latest(stored), media_type=CONTENT_TYPE_LATEST)


class _Families(Collector):
    """What the exposition format is written from."""

    def __init__(self, families: Iterable[GaugeMetricFamily | CounterMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        return self._families


def _stored(connection: Connection) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    """Each count is read from an index, none from the posts or their scores.

    Literals, not parameters: a plan kept for all parameters could not use the indexes with conditions.
    """
    reports = connection.scalar(select(func.count()).select_from(Report)) or 0
    yield CounterMetricFamily("triage_reports_accepted", "Reports accepted, by whatever way", value=reports)

    waiting = connection.execute(
        select(Post.lane, func.count())
        .where(Post.scoring == literal(ScoringStatus.WANTED.value, literal_execute=True))
        .group_by(Post.lane)
    )
    lanes = GaugeMetricFamily("triage_posts_waiting", "Posts that wait for scores", labels=["lane"])
    _fill(lanes, Lane, dict(waiting.all()))
    yield lanes

    captures = select(func.count()).where(Capture.status == literal(CaptureStatus.WANTED.value, literal_execute=True))
    yield GaugeMetricFamily(
        "triage_captures_waiting", "URLs that wait to be captured", value=connection.scalar(captures) or 0
    )

    by_status = connection.execute(select(Case.status, func.count()).group_by(Case.status))
    cases = GaugeMetricFamily("triage_cases", "Cases by status", labels=["status"])
    _fill(cases, CaseStatus, dict(by_status.all()))
    yield cases

    scored = connection.scalar(select(func.count()).select_from(PostScores)) or 0
    yield CounterMetricFamily("triage_posts_scored", "Posts whose case opened, assessed or not", value=scored)

    by_reason = connection.execute(
        select(PostScores.not_assessed, func.count())
        .where(PostScores.not_assessed.is_not(None))
        .group_by(PostScores.not_assessed)
    )
    unassessed = CounterMetricFamily("triage_posts_not_assessed", "Posts opened without scores", labels=["reason"])
    _fill(unassessed, NotAssessed, dict(by_reason.all()))
    yield unassessed


def _fill(
    family: GaugeMetricFamily | CounterMetricFamily, kinds: Iterable[str], counts: Mapping[str | None, int]
) -> None:
    """One value for each kind, also where there is nothing: a series that vanishes raises no alert."""
    for kind in kinds:
        family.add_metric([str(kind)], counts.get(str(kind), 0))
