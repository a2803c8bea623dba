"""What /metrics tells of the whole service, whoever did it, and that a scrape reads no table from end to end."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from tests.factories import NOT_ASSESSED, accept, open_case, scores
from tests.people import People
from triage import audit, metrics, patrol, tallies, watching
from triage.db import Case, WorkerBeat
from triage.db.session import engine, transaction
from triage.domain.words import Lane
from workers import batches, schedule

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def told_afresh() -> Iterator[None]:
    """Only what this test counts is told."""
    tallies.flush()
    with transaction() as session:
        session.execute(text("DELETE FROM tallies"))
    watching.forget_pace()
    yield
    metrics.pipeline_info.clear()


def series(client: TestClient) -> dict[str, float]:
    """Samples by name and labels, as Prometheus reads them."""
    page = client.get("/metrics").text
    return {
        sample.name + "".join(f"[{value}]" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_what_a_worker_counted_is_served_by_the_web_process_and_only_grows(client: TestClient) -> None:
    before = series(client)
    metrics.batch_posts.labels("live").observe(20)
    metrics.posts_read.labels("live", "assessed").inc(20)
    tallies.flush()
    metrics.posts_read.labels("live", "assessed").inc(5)
    tallies.flush()
    tallies.flush()  # nothing new
    after = series(client)

    assert before["triage_posts_read_total[live][assessed]"] == 0
    assert after["triage_posts_read_total[live][assessed]"] == 25
    assert (after["triage_batch_posts_bucket[live][16.0]"], after["triage_batch_posts_bucket[live][32.0]"]) == (0, 1)
    assert after["triage_batch_posts_sum[live]"] == 20
    assert after["triage_posts_read_total[bulk][model_failed]"] == 0


def test_versions_are_those_of_living_processes(client: TestClient, session: Session) -> None:
    batches.say_what_runs(Lane.LIVE, "pipeline-1")
    tallies.flush()
    at_work = [name for name in series(client) if name.startswith("triage_pipeline_info")]
    session.execute(text("UPDATE tallies SET at = at - interval '2 minutes'"))
    session.commit()

    assert [name.split("[")[2] for name in at_work] == ["pipeline-1]"]
    assert not [name for name in series(client) if name.startswith("triage_pipeline_info")]


def test_the_schedule_counts_what_grows_and_says_how_old_the_counts_are(
    client: TestClient, session: Session, people: People
) -> None:
    assert series(client)["triage_counts_age_seconds"] == math.inf
    open_case(session, people, NOT_ASSESSED, text="a post that no model could score")
    open_case(session, people, scores(review=0.9, TTL=0.9), text="a post that one could")
    accept(session, people, text="a post that waits")
    session.commit()
    tier = session.query(Case).filter(Case.assessed).one().tier

    schedule.count(session, datetime.now(UTC))
    session.commit()
    found = series(client)
    assert found["triage_reports_accepted_total"] == 3
    assert found["triage_posts_scored_total"] == 2
    assert found["triage_posts_not_assessed[model_failed]"] == 1
    assert found[f"triage_cases[open][{tier}]"] >= 1
    assert found["triage_cases[waiting][none]"] == 1
    assert found["triage_counts_age_seconds"] < 60


def test_rows_are_counted_once_and_what_is_purged_stays_counted(session: Session, people: People) -> None:
    """The second count begins where the first one ended."""
    for number in range(2):
        accept(session, people, text=f"post {number}")
    now = datetime.now(UTC)
    for minutes in (0, 20):
        watching.forget_pace()
        assert watching.count(session, now=now + timedelta(minutes=minutes)) == 1
    session.execute(text("DELETE FROM reports WHERE id = (SELECT min(id::text)::uuid FROM reports)"))
    assert watching.count(session, now=now + timedelta(minutes=40)) == 0  # it is too soon
    watching.forget_pace()
    watching.count(session, now=now + timedelta(minutes=40))

    told = tallies.read(session)
    assert told[tallies.key("triage_reports_accepted_total")].value == 2


def test_the_first_case_that_nobody_looked_at_has_an_age(client: TestClient, session: Session, people: People) -> None:
    case = open_case(session, people, scores(review=0.99, TTL=0.99, urgent=0.99))
    assert case.tier == "P0"
    session.execute(update(Case).values(received_at=datetime.now(UTC) - timedelta(minutes=11)))
    session.commit()

    assert series(client)["triage_unseen_oldest_seconds[P0]"] > 600
    session.execute(update(Case).values(seen_at=datetime.now(UTC)))
    session.commit()
    assert series(client)["triage_unseen_oldest_seconds[P0]"] == 0


def test_workers_alive_by_lane(client: TestClient, session: Session) -> None:
    now = datetime.now(UTC)
    for pid, silent in ((1, 0), (2, 3600)):
        beat = now - timedelta(seconds=silent)
        session.add(
            WorkerBeat(name="worker-live", host="h", pid=pid, lane="live", started_at=beat, beat_at=beat, seen_at=beat)
        )
    session.commit()

    found = series(client)
    assert found["triage_workers_alive[live]"] == 1
    assert found["triage_workers_alive[urgent]"] == 0
    assert found["triage_worker_beat_age_seconds[live]"] < 60
    assert found["triage_worker_beat_age_seconds[urgent]"] == math.inf


def test_a_patrol_goes_round_the_chain_and_stays_where_it_breaks(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patrol, "STRETCH_EVENTS", 2)
    monkeypatch.setattr(patrol, "NEWEST_SEALS", 1)
    for number in range(6):
        audit.record(session, audit.system("tests"), audit.Entry(audit.Operation.SYSTEM, "test", "test", str(number)))
        session.commit()
        audit.seal(session)
        session.commit()

    assert series(client)["triage_audit_check_age_seconds[round]"] == math.inf
    for _ in range(4):
        walk(session)
    whole = series(client)
    assert (whole["triage_audit_chain_holds[newest]"], whole["triage_audit_chain_holds[round]"]) == (1, 1)
    assert whole["triage_audit_rounds_total"] == 1
    assert whole["triage_audit_check_age_seconds[round]"] < 60

    with engine().begin() as behind:  # as somebody could who owns the tables
        behind.execute(text("SET LOCAL session_replication_role = replica"))
        behind.execute(text("UPDATE events SET object_id = 'altered' WHERE object_id = '0'"))
    for _ in range(5):
        walk(session)
    broken = series(client)
    assert (broken["triage_audit_chain_holds[newest]"], broken["triage_audit_chain_holds[round]"]) == (1, 0)


def walk(session: Session) -> None:
    patrol.walk(session)
    session.commit()


def test_a_request_is_timed_by_its_route_and_never_by_its_address(client: TestClient, people: People) -> None:
    client.get("/cases/12345")
    client.get("/no/such/secret-place")
    client.request("SECRETMETHOD", "/health")

    page = client.get("/metrics").text
    assert 'route="/no' not in page
    assert "12345" not in page
    assert "SECRETMETHOD" not in page
    assert 'triage_request_seconds_count{method="GET",route="none",status="404"}' in page


def test_a_refused_quota_is_counted(client: TestClient, session: Session, people: People) -> None:
    from tests.factories import report

    before = series(client)["triage_quota_refusals_total"]
    people.partner.quota_per_day = 1
    session.merge(people.partner)
    session.commit()
    headers = {"Authorization": f"Bearer {people.partner_key}"}
    answers = [client.post("/api/v1/reports", json=report(text=f"post {n}"), headers=headers) for n in range(2)]

    assert [answer.status_code for answer in answers] == [202, 429]
    assert series(client)["triage_quota_refusals_total"] == before + 1
