"""Tracing costs nothing while it is off, follows no client's trace, and tells no more of an error than its type."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.collector import Collector, collecting
from tests.factories import report
from tests.people import People
from triage import tracing
from triage.db import Report
from triage.settings import current

#: What the processes load while nothing is traced. redis-py loads other parts of it, metrics, wherever it is installed.
_LOADED = """
import sys
_OURS = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "opentelemetry.proto", "google.protobuf")
import workers.cli, workers.web, workers.schedule, workers.worker, workers.scorer
print(*[name for name in sys.modules if name.startswith(_OURS)])
"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Tracing is on in this process, for the time of the test."""
    with collecting() as running:
        monkeypatch.setattr(current(), "otlp_endpoint", running.address)
        tracing.start("test")
        yield running
        tracing.stop()


def headers(people: People, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {people.partner_key}"} | more


@pytest.mark.usefixtures("database")
def test_nothing_of_it_is_loaded_while_it_is_off() -> None:
    loaded = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True)

    assert loaded.stdout.strip() == ""


def test_a_report_of_an_untraced_service_has_no_trace(client: TestClient, session: Session, people: People) -> None:
    client.post("/api/v1/reports", json=report(), headers=headers(people))

    assert session.scalars(select(Report.trace)).all() == [None]
    assert tracing.place() is None


def test_a_clients_own_trace_is_not_followed(
    client: TestClient, collector: Collector, session: Session, people: People
) -> None:
    theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.post("/api/v1/reports", json=report(), headers=headers(people, traceparent=theirs))
    tracing.stop()

    request, ours = collector.wait_for("POST /api/v1/reports"), session.scalars(select(Report.trace)).one()
    assert request.parent_span_id == b""
    assert ours is not None
    assert bytes.fromhex(ours.split("-")[1]) == request.trace_id != bytes.fromhex(theirs.split("-")[1])


def test_an_error_is_told_by_its_type_alone(collector: Collector) -> None:
    with pytest.raises(ValueError, match="the words of a post"), tracing.span("work"):
        raise ValueError("the words of a post")
    tracing.stop()

    span = collector.wait_for("work")
    assert {each.key: each.value.string_value for each in span.attributes} == {"error.type": "ValueError"}
    assert b"words" not in b"".join(collector.raw)


def test_a_collector_that_is_away_stops_nobody(
    client: TestClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current(), "otlp_endpoint", "http://127.0.0.1:1")
    monkeypatch.setattr(tracing, "_EXPORT_SECONDS", 1)
    tracing.start("test")
    try:
        assert client.post("/api/v1/reports", json=report(), headers=headers(people)).status_code == 202
    finally:
        tracing.stop()
