"""What is asked all day long is found by an index, also where there are many rows: the plans, not the seconds.

The statements are those that the code sends, caught on their way; PostgreSQL is asked how it would answer each.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from annotations import review
from tests.people import People
from tests.visiting import Visit
from triage import assessment, attendance, audit, backlog, leases
from triage.db import clock
from triage.db.session import engine, transaction
from triage.domain.words import Lane

ROWS = 30_000
#: Tables that grow for ever; none of them is ever read from end to end by what is asked all day.
LARGE = {"posts", "cases", "reports", "events", "scores", "assessments"}
#: Sorting more rows than this is sorting the backlog; what pages count is bounded below it.
MANY = 10_000

#: Of every 20 posts 14 are scored and open, 4 wait in bulk, 1 in live; 1 was decided.
FILL = (
    """
    INSERT INTO posts (identity, platform, text, lane, scoring)
    SELECT 'p' || n, 'chirper', 'invented post number ' || n,
           CASE WHEN n % 5 = 0 THEN 'live' ELSE 'bulk' END, CASE WHEN n % 20 < 15 THEN 'done' ELSE 'wanted' END
    FROM generate_series(1, :rows) AS n
    """,
    """
    INSERT INTO cases (queue, post_id, status, tier, assessed, outcome, report_count, flagged, band, deadline_at, risk)
    SELECT (ARRAY['urgent', 'at_risk', 'not_assessed', 'police', 'soon', 'general'])[1 + n % 6], id,
           CASE WHEN scoring = 'wanted' THEN 'waiting' WHEN n % 20 = 0 THEN 'decided' ELSE 'open' END,
           CASE WHEN scoring = 'done' THEN 'P' || (1 + n % 4) END, CASE WHEN scoring = 'done' THEN true END,
           CASE WHEN scoring = 'done' AND n % 20 = 0 THEN 'no_violation' END, 1, true,
           1 + n % 4, clock_timestamp() + n * interval '1 second', random()
    FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM posts) AS numbered
    """,
    """
    INSERT INTO reports (case_id, partner_id, purpose, acquisition_mode)
    SELECT cases.id, (SELECT id FROM partners LIMIT 1), 'prevention_of_serious_violence', 'user_report' FROM cases
    """,
    """
    INSERT INTO events (actor_kind, actor_id, operation, kind, object_type, object_id, case_id)
    SELECT 'system', 'tests', 'collection', 'case.reported', 'report', id::text, id FROM cases
    """,
    """
    INSERT INTO scores (post_id, pipeline_version, labels, contexts, review, urgent, evidence, versions)
    SELECT id, 'test', '{}', '{}', 0.5, 0, '[]', '{}' FROM posts WHERE scoring = 'done'
    """,
    """
    INSERT INTO assessments (case_id, scores_id, policy_version, codes, tier, flagged, reasons)
    SELECT cases.id, scores.id, 'test', '{}', tier, true, '{}' FROM cases JOIN scores USING (post_id)
    """,
)


@pytest.fixture
def many(session: Session, people: People) -> Session:
    """Many posts with their cases, reports, scores and events, and what the planner knows of them."""
    for statement in FILL:
        session.execute(text(statement), {"rows": ROWS} if ":rows" in statement else {})
    session.commit()
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as alone:  # as the server does by itself
        alone.execute(text(f"VACUUM ANALYZE {', '.join(LARGE)}"))
    return session


class Plans:
    """How PostgreSQL would answer what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def note(self, _connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if re.match(r"\s*(SELECT|WITH|UPDATE)", statement):
            self.asked.append((statement, parameters))

    def nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        with engine().connect() as connection:
            for statement, parameters in self.asked:
                answer = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
                for node in _of(answer.scalar_one()[0]["Plan"]):
                    yield statement, node

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for _, node in self.nodes() if "Index Name" in node}

    @property
    def wrong(self) -> list[str]:
        """Large tables read from end to end, and sorts of all that waits."""
        return [
            f"{why} in {' '.join(statement.split())[:300]}" for statement, node in self.nodes() for why in _wrong(node)
        ]


def _of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _of(child)


def _wrong(node: dict[str, Any]) -> Iterator[str]:
    kind = node["Node Type"]
    if kind == "Seq Scan" and node["Relation Name"] in LARGE:
        yield f"all of {node['Relation Name']} is read"
    if kind in ("Sort", "Incremental Sort") and max(child["Plan Rows"] for child in node["Plans"]) > MANY:
        yield "the backlog is sorted"


@contextmanager
def plans() -> Iterator[Plans]:
    """Of what is asked in the block."""
    caught = Plans()
    event.listen(engine(), "before_cursor_execute", caught.note)
    try:
        yield caught
    finally:
        event.remove(engine(), "before_cursor_execute", caught.note)


def in_transaction(ask: Callable[[Session], object]) -> Plans:
    with plans() as caught, transaction() as session:
        ask(session)
    assert caught.asked
    return caught


def test_claim_of_a_batch_walks_what_waits(many: Session) -> None:
    asked = in_transaction(lambda session: assessment.claim_posts(session, Lane.BULK, limit=32, lease_seconds=60))

    assert "\n".join(asked.wrong) == ""
    assert "ix_posts_scoring_wanted" in asked.indexes


def test_claim_of_what_a_worker_dropped_walks_those_few(many: Session) -> None:
    assessment.claim_posts(many, Lane.BULK, limit=32, lease_seconds=-10)
    many.commit()
    many.execute(text("ANALYZE posts"))
    many.commit()

    asked = in_transaction(
        lambda session: assessment.claim_posts(session, Lane.BULK, limit=1, lease_seconds=60, retry=True)
    )

    assert "\n".join(asked.wrong) == ""
    assert "ix_posts_scoring_tried" in asked.indexes


def test_claim_of_a_case_walks_the_queue(many: Session, people: People) -> None:
    asked = in_transaction(lambda session: review.claim_next(session, people.moderator, now=clock.now()))

    assert "\n".join(asked.wrong) == ""
    assert {index for index in asked.indexes if index.startswith("ix_cases_") and "queue" in index}


def test_queue_page(many: Session, people: People, client: TestClient) -> None:
    visit = Visit(client, people.moderator)

    with plans() as asked:
        assert visit.get("/queue").status_code == 200

    assert "\n".join(asked.wrong) == ""


def keep_watch(session: Session) -> None:
    """What the schedule asks every few seconds, and an import before each batch."""
    assessment.lanes_with_work(session)
    assessment.give_up(session, audit.system("tests"), now=clock.now())
    assert set(attendance.without_worker(session)) == {Lane.LIVE, Lane.BULK}
    for lane in Lane:
        assessment.open_unattended(session, audit.system("tests"), lane, most=100)
        attendance.room_for_unassessed(session, lane)
    leases.shorten(session)
    backlog.measure(session, limit=1_000)


def test_what_the_schedule_asks_every_few_seconds(many: Session) -> None:
    asked = in_transaction(keep_watch)

    assert "\n".join(asked.wrong) == ""
