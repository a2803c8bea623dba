"""``triage doctor`` tells the truth, and the truth can be bad."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from tests.factories import accept, open_case
from tests.people import People
from triage import audit
from triage.db import Case, Post, PostScores, WorkerBeat
from workers import doctor


def wrong(session: Session) -> set[str]:
    session.commit()
    audit.seal(session)
    session.commit()
    return {finding.name for finding in doctor.examine(session) if finding.ok is False}


def test_all_is_well(session: Session, people: People) -> None:
    open_case(session, people)
    open_case(session, people, text="another post")

    assert wrong(session) == set()


def test_post_that_waits_too_long_is_stuck(session: Session, people: People) -> None:
    accept(session, people)
    session.execute(update(Post).values(created_at=datetime.now(UTC) - timedelta(minutes=6)))

    assert wrong(session) == {"stuck", "lanes with posts and no worker"}


def test_post_that_waits_its_turn_is_no_fault(session: Session, people: People) -> None:
    accept(session, people)
    now = datetime.now(UTC)
    session.add(WorkerBeat(name="worker-live", lane="live", pid=1, started_at=now, beat_at=now))

    assert wrong(session) == set()


def test_report_that_is_in_no_count(session: Session, people: People) -> None:
    case = open_case(session, people)
    session.execute(update(Case).where(Case.id == case.id).values(report_count=7))

    assert wrong(session) == {"reports counted in cases", "cases that match their events"}


def test_case_row_changed_behind_its_events(session: Session, people: People) -> None:
    case = open_case(session, people)
    session.execute(update(Case).where(Case.id == case.id).values(tier="P4"))

    assert wrong(session) == {"cases that match their events"}


def test_lost_scores(session: Session, people: People) -> None:
    open_case(session, people)
    session.execute(update(PostScores).values(pipeline_version="x"))
    assert wrong(session) == set()

    from sqlalchemy import text

    session.execute(text("TRUNCATE scores CASCADE"))
    assert "posts scored" in wrong(session)


def test_silent_worker(session: Session, people: People) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    session.add(WorkerBeat(name="worker-live", lane="live", pid=1, started_at=long_ago, beat_at=long_ago))

    assert wrong(session) == {"worker-live"}
