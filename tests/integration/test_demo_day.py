"""The scripted day plays through on the real pages, and leaves what it says behind."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests import factories
from triage import assessment, audit, queries
from triage.db import Case, Decision, Event, Referral
from triage.db.session import transaction
from triage.domain.errors import Unavailable
from triage.domain.words import Lane
from workers import demo_day


@pytest.fixture
def scored(live_server: str) -> Iterator[str]:
    """What comes in is scored at once, as by a worker."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            with transaction() as session:
                claims = [c for lane in Lane for c in assessment.claim_posts(session, lane, limit=50, lease_seconds=60)]
                if not claims:
                    continue
                found = [(claim, factories.scores(review=0.9, TTL=0.9)) for claim in claims]
                actor, now = audit.system("tests"), datetime.now(UTC)
                assessment.record_scores(session, actor, found, pipeline_version="test", now=now)

    worker = threading.Thread(target=work)
    worker.start()
    yield live_server
    stop.set()
    worker.join(timeout=20)


def test_day_plays_through(scored: str, session: Session) -> None:
    said: list[str] = []

    decided = demo_day.run(scored, pace=0, say=said.append)

    outcomes = dict(session.execute(select(Decision.outcome, func.count()).group_by(Decision.outcome)).all())
    assert decided == 10
    assert outcomes == {
        "no_violation": 6,
        "refer": 2,
        "safeguard": 1,
        "route_out": 1,
        "escalate": 1,
        "second_opinion": 1,
    }
    assert session.scalars(select(Referral.status).order_by(Referral.id)).all() == ["rejected", "collected"]
    assert said[-1] == "The day is over: 10 cases decided."
    assert any("decided by machines: none" in line for line in said)
    assert queries.counts(session, now=datetime.now(UTC)).open == 0
    assert session.scalar(select(func.count()).select_from(Case)) == 11  # the analyst's waits for its capture
    assert session.scalars(select(Event.id).where(Event.kind == "case.read").limit(1)).all()
    told = " ".join(said)
    assert [words for words in ("shank", "boning", "zombie", "birthdays") if words in told] == []

    session.rollback()
    assert demo_day.run(scored, pace=0, say=said.append) == 10  # and once more


def test_day_needs_a_service() -> None:
    with pytest.raises(Unavailable):
        demo_day.run("http://127.0.0.1:9", pace=0, say=lambda line: None)
