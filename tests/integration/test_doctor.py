"""``triage doctor`` tells the truth, and the truth can be bad."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from tests.factories import accept, open_case
from tests.people import People
from triage import assessment, audit
from triage.audit import Entry
from triage.db import Capture, Case, Event, Post, PostScores, WorkerBeat
from triage.db.session import session_factory, transaction
from triage.domain.words import Lane, Operation
from triage.settings import current
from workers import doctor, schedule
from workers.cli import app


def wrong(session: Session) -> set[str]:
    session.commit()
    audit.seal(session)
    session.commit()
    names = {finding.name for finding in doctor.examine(session) if finding.ok is False}
    session.rollback()
    return names


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
    session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=1, started_at=now, beat_at=now))

    assert wrong(session) == set()


def test_long_queue_is_no_fault_while_its_lane_moves(session: Session, people: People) -> None:
    open_case(session, people)
    accept(session, people, text="another post")
    now = datetime.now(UTC)
    session.execute(update(Post).values(created_at=now - timedelta(minutes=6)))
    session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=1, started_at=now, beat_at=now))
    assert wrong(session) == set()

    session.execute(update(PostScores).values(scored_at=now - timedelta(minutes=6)))
    assert wrong(session) == {"stuck"}


def test_url_that_was_captured_only_now_is_not_stuck(session: Session, people: People) -> None:
    accept(session, people)
    now = datetime.now(UTC)
    session.execute(update(Post).values(created_at=now - timedelta(hours=1)))
    post_id = session.scalars(select(Post.id)).one()
    session.add(Capture(post_id=post_id, url="https://x.com/1", status="done", sha256="0" * 64, captured_at=now))

    assert "stuck" not in wrong(session)


def test_post_dropped_by_its_worker_long_ago_is_stuck_though_its_lane_moves(session: Session, people: People) -> None:
    open_case(session, people)
    accept(session, people, text="another post")
    now = datetime.now(UTC)
    waits = Post.scoring == "wanted"
    session.execute(update(Post).where(waits).values(scoring_lease_until=now - timedelta(minutes=6)))
    session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=1, started_at=now, beat_at=now))

    assert wrong(session) == {"stuck"}


def test_what_happens_during_the_examination_is_no_fault(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of its questions a report comes in: a true one-off of what a busy hour does all the time."""
    open_case(session, people)
    session.commit()
    states = doctor._states

    def meanwhile(examined: Session) -> list[doctor.Finding]:
        with transaction() as other:
            case = other.scalars(select(Case)).one()
            case.report_count += 1
        return states(examined)

    monkeypatch.setattr(doctor, "_states", meanwhile)
    assert wrong(session) == set()


def test_events_of_a_case_that_is_gone_do_not_hide_another(session: Session, people: People) -> None:
    """Rows and events are read side by side; neither a missing row nor a missing history puts them out of step."""
    open_case(session, people, text="one")
    session.commit()
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text("UPDATE events SET case_id = uuidv7(interval '-1 day') WHERE kind = 'case.assessed'"))
    session.commit()
    open_case(session, people, text="two")

    session.commit()
    found = {finding.name: finding.value for finding in doctor.examine(session)}
    assert found["cases that match their events"] == "1 of 2"


def test_sealing_that_stands_still(session: Session, people: People) -> None:
    """One transaction left open holds up all sealing, and nobody else would say so."""
    assert wrong(session) == set()
    with session_factory()() as left_open:
        left_open.execute(text("SELECT pg_current_xact_id()"))
        audit.record(
            session,
            audit.system("tests"),
            Entry(Operation.SYSTEM, "test", "test", "1"),
        )
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(update(Event).where(Event.kind == "test").values(at=datetime.now(UTC) - timedelta(minutes=6)))

        assert wrong(session) == {"oldest event not yet sealed"}
        finding = next(one for one in doctor.examine(session) if one.name == "oldest event not yet sealed")
        session.rollback()
        assert finding.value == "6 min old"
        assert re.search(r"oldest open transaction is \d+ s old", finding.advice)
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

    session.execute(text("TRUNCATE scores CASCADE"))
    assert "posts scored" in wrong(session)


def test_silent_worker(session: Session, people: People) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=1, started_at=long_ago, beat_at=long_ago))

    assert wrong(session) == {"worker-live"}


def test_killed_worker_that_was_started_again_is_no_fault(session: Session, people: People) -> None:
    now = datetime.now(UTC)
    before = now - timedelta(minutes=10)
    session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=1, started_at=before, beat_at=before))
    session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=2, started_at=now, beat_at=now))
    assert wrong(session) == set()

    session.execute(update(WorkerBeat).where(WorkerBeat.pid == 2).values(started_at=before - timedelta(hours=1)))
    assert wrong(session) == {"worker-live"}  # they worked side by side, and one fell silent


def test_silent_worker_is_forgotten_after_a_day(session: Session) -> None:
    now = datetime.now(UTC)
    for pid, age in ((1, timedelta(hours=23)), (2, timedelta(hours=25))):
        when = now - age
        session.add(WorkerBeat(name="worker-live", host="one", lane="live", pid=pid, started_at=when, beat_at=when))
    session.flush()

    assert schedule.forget_beats(session, now) == 1
    assert session.scalars(select(WorkerBeat.pid)).all() == [1]


def lines(session: Session) -> dict[str, doctor.Finding]:
    session.commit()
    found = {finding.name: finding for finding in doctor.examine(session)}
    session.rollback()
    return found


def test_backlog_past_its_limit_says_what_is_refused(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(session, people)
    accept(session, people, text="another")
    assert lines(session)["posts waiting for scores"].value == "2 (bulk intake stops at 200,000)"

    monkeypatch.setattr(current(), "backlog_limit", 1)
    finding = lines(session)["posts waiting for scores"]
    assert (finding.ok, finding.value) == (False, "2 (bulk intake stops at 1)")
    assert finding.advice.startswith("More than 1 posts wait for scores: batches are refused and imports wait")


def test_oldest_post_of_each_lane_with_advice(session: Session, people: People) -> None:
    now = datetime.now(UTC)
    for lane, age in (("urgent", 2), ("live", 6), ("bulk", 70)):
        accept(session, people, text=lane)
        session.flush()
        waits = update(Post).where(Post.text == lane)
        session.execute(waits.values(lane=lane, created_at=now - timedelta(minutes=age)))

    found = lines(session)
    oldest = {lane: found[f"oldest post waiting in {lane}"] for lane in ("urgent", "live", "bulk")}

    assert {lane: finding.value for lane, finding in oldest.items()} == {
        "urgent": "2 min",
        "live": "6 min",
        "bulk": "70 min",
    }
    assert {lane: finding.ok for lane, finding in oldest.items()} == {"urgent": True, "live": None, "bulk": None}
    assert "`triage worker live`" in oldest["live"].advice


def test_what_was_given_up_is_counted_and_says_what_to_do(session: Session, people: People) -> None:
    assert lines(session)["given up (opened without scores)"].ok is True
    accept(session, people)
    session.commit()
    claims = assessment.claim_posts(session, Lane.LIVE, limit=1, lease_seconds=60)
    assessment.record_failures(session, audit.system("tests"), claims, try_again=False, now=datetime.now(UTC))
    session.commit()

    finding = lines(session)["given up (opened without scores)"]
    shown = CliRunner().invoke(app, ["doctor"]).output

    assert (finding.value, finding.ok) == ("1", None)
    assert "triage dead retry --all" in shown
    assert wrong(session) == set()
