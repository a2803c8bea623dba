"""From a wanted URL to a post that wants scores, against pages served on this machine."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tests.factories import accept, report, scores
from tests.local_site import Site, Visitor, endless, in_turn, page, redirect, send, serve
from tests.people import People
from tests.unit.test_evidence import files, files_end_at
from triage import accounts, assessment, audit, capture, evidence, page_text, queue, safe_fetch
from triage.capture import NewSubmission
from triage.db import Capture, Case, Event, Post
from triage.db.session import transaction
from triage.domain.scores import NotAssessed, Scores
from triage.domain.words import Lane, Purpose
from triage.intake import Accepted, Reporter, accept_reports
from triage.new_report import NewReport
from triage.queue import Bell
from triage.settings import Settings, current
from workers import schedule

LATER = timedelta(minutes=10)
POST = b'<meta property="og:description" content="be at the stop at half three"><body>Log in</body>'


@pytest.fixture
def settings(database: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """This machine is the only listed site; evidence goes to a folder of the test's own."""
    for name, value in {
        "CAPTURE_HOSTS": "localhost",
        "CAPTURE_ALLOW_PRIVATE": "true",
        "CAPTURE_MAX_BYTES": "200000",
        "DATA_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(f"TRIAGE_{name}", value)
    current.cache_clear()
    yield current()
    monkeypatch.undo()
    current.cache_clear()


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    with serve() as running:
        running.pages["/p"] = page(POST, ETag="abc")
        yield running


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def submit(
    session: Session, people: People, url: str, purpose: Purpose = Purpose.PREVENTION_OF_SERIOUS_VIOLENCE
) -> Accepted:
    submission = NewSubmission.model_validate(
        {
            "url": url,
            "purpose": purpose,
            "acquisition_mode": "police_open_source",
            "force_code": "MPS",
            "operation_ref": "OP-17",
            "necessity": "A threat was reported",
            "proportionality": "One public post",
            "collateral_intrusion": "None beyond the post",
        }
    )
    accepted = capture.submit_url(session, people.analyst, submission, now=datetime.now(UTC))
    session.commit()
    return accepted


def the_capture(session: Session) -> Capture:
    session.rollback()
    return session.scalars(select(Capture).execution_options(populate_existing=True)).one()


def the_post(session: Session) -> Post:
    session.rollback()
    return session.scalars(select(Post).execution_options(populate_existing=True)).one()


def events(session: Session) -> list[str]:
    return list(session.scalars(select(Event.kind).where(Event.object_type == "capture").order_by(Event.id)))


def test_submitted_page_becomes_evidence_and_a_post_that_wants_scores(
    site: Site, session: Session, people: People, settings: Settings, now: datetime
) -> None:
    accepted = submit(session, people, site.url("/p"))

    assert capture.capture_next(now=now)

    row = the_capture(session)
    assert (row.status, row.final_url, row.http_status, row.content_type) == ("done", site.url("/p"), 200, "text/html")
    assert evidence.read(settings.evidence_dir, row.sha256 or "") == POST
    assert (row.size_bytes, row.sha256) == (len(POST), hashlib.sha256(POST).hexdigest())
    assert (row.headers or {})["etag"] == "abc"
    assert (row.method, row.tool_version) == ("http_get", capture.TOOL_VERSION)
    assert row.captured_at
    assert now <= row.captured_at <= datetime.now(UTC)
    post = the_post(session)
    assert (post.text, post.scoring) == ("be at the stop at half three", "wanted")
    assert post.text_sha256 == hashlib.sha256(b"be at the stop at half three").hexdigest()
    event = session.scalars(select(Event).where(Event.kind == "capture.done")).one()
    assert (event.operation, event.case_id, event.data["sha256"]) == ("collection", accepted.case_id, row.sha256)
    assert queue.rq_queue(Bell.LIVE).count == 1


def test_captured_post_is_scored_and_its_case_opens(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    submit(session, people, site.url("/p"))
    capture.capture_next(now=now)
    assert [found.status for found in capture.own_submissions(session, people.analyst, limit=9)] == ["captured"]

    claims = assessment.claim_posts(session, Lane.LIVE, limit=9, lease_seconds=60)
    assert [claim.text for claim in claims] == ["be at the stop at half three"]
    assessment.record_scores(
        session, audit.system("tests"), [(claims[0], scores(review=0.9))], pipeline_version="test", now=now
    )

    assert session.scalars(select(Case.status)).one() == "open"
    assert [found.status for found in capture.own_submissions(session, people.analyst, limit=9)] == ["in review"]


def test_page_is_fetched_once_and_never_again(site: Site, session: Session, people: People, now: datetime) -> None:
    """No standing watch: neither time, nor the schedule, nor another report of the same address fetches again."""
    submit(session, people, site.url("/p"))
    assert capture.capture_next(now=now)
    queue.connection().flushdb()

    for days in (0, 1, 30, 3650):
        later = now + timedelta(days=days)
        for _, task in schedule.TASKS:
            task(session, later)
        session.commit()
        assert not capture.has_work(session, now=later)
        assert not capture.capture_next(now=later)
    assert queue.rq_queue(Bell.CAPTURE).count == 0
    submit(session, people, site.url("/p"))
    accept(session, people, text=None, url=site.url("/p#again"))
    session.commit()

    assert not capture.capture_next(now=now + LATER)
    assert site.hits["/p"] == 1


def test_failed_capture_is_not_tried_for_ever(site: Site, session: Session, people: People, now: datetime) -> None:
    site.pages["/p"] = page(status=503)
    submit(session, people, site.url("/p"))

    for attempt in range(10):
        capture.capture_next(now=now + attempt * LATER)

    assert site.hits["/p"] == capture.MAX_ATTEMPTS
    row = the_capture(session)
    assert (row.status, row.failure, row.sha256) == ("failed", "server_error", None)
    assert events(session) == ["capture.put_off", "capture.put_off", "capture.failed"]


def test_page_that_comes_back_is_captured_at_the_second_attempt(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    site.pages["/p"] = in_turn(page(status=500), page(POST))
    submit(session, people, site.url("/p"))

    assert capture.capture_next(now=now)
    row = the_capture(session)
    assert (row.status, row.failure, row.attempts) == ("wanted", "server_error", 1)
    assert row.not_before
    assert timedelta(seconds=20) < row.not_before - now < timedelta(seconds=40)
    assert not capture.has_work(session, now=now)
    assert not capture.capture_next(now=now)

    assert capture.has_work(session, now=now + LATER)
    assert capture.capture_next(now=now + LATER)
    row = the_capture(session)
    assert (row.status, row.failure, row.attempts) == ("done", None, 2)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (page(status=403), "needs_log_in"),
        (page(b"\x89PNG", type="image/png"), "type_not_allowed"),
        (redirect("http://169.254.169.254/latest/meta-data/"), "host_not_allowed"),
        (endless, "too_large"),
    ],
)
def test_refused_page_goes_to_a_person_without_scores(
    site: Site, session: Session, people: People, settings: Settings, now: datetime, answer: object, failure: str
) -> None:
    site.pages["/p"] = answer  # type: ignore[assignment]
    submit(session, people, site.url("/p"))

    assert capture.capture_next(now=now)
    assert not capture.capture_next(now=now + LATER)

    row = the_capture(session)
    assert (row.status, row.failure, row.attempts) == ("failed", failure, 1)
    assert not settings.evidence_dir.exists()
    claims = assessment.claim_posts(session, Lane.LIVE, limit=9, lease_seconds=60)
    assert [claim.text for claim in claims] == [""]
    unscored = [(claims[0], Scores(not_assessed=NotAssessed.EMPTY))]
    assessment.record_scores(session, audit.system("tests"), unscored, pipeline_version="test", now=now)
    case = session.scalars(select(Case)).one()
    assert (case.status, case.assessed, case.flagged) == ("open", False, True)
    [found] = capture.own_submissions(session, people.analyst, limit=9)
    assert found.status.startswith("could not be captured because ")


def test_every_failure_can_be_said_in_words() -> None:
    assert set(safe_fetch.Problem) < set(capture.REASONS)


def test_page_without_words_is_kept_and_goes_to_a_person(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    site.pages["/p"] = page("<img src=x>")
    submit(session, people, site.url("/p"))

    capture.capture_next(now=now)

    assert the_capture(session).status == "done"
    post = the_post(session)
    assert (post.text, post.text_sha256, post.scoring) == (None, None, "wanted")


def test_what_the_reporter_said_about_the_author_stays(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    stated = '<meta name="twitter:creator" content="@page"><meta property="article:published_time" content="{}"><p>x'
    site.pages["/p"] = page(stated.format("2026-03-01T12:00:00Z"))
    accept(session, people, text=None, url=site.url("/p"), author_handle="@partner")
    session.commit()

    capture.capture_next(now=now)

    post = the_post(session)
    assert (post.author_handle, post.posted_at) == ("@partner", datetime(2026, 3, 1, 12, tzinfo=UTC))


def test_urgent_url_is_fetched_before_older_ones(site: Site, session: Session, people: People, now: datetime) -> None:
    for number in range(3):
        accept(session, people, text=None, url=site.url(f"/{number}"))
    submit(session, people, site.url("/p"), Purpose.THREAT_TO_LIFE)

    capture.capture_next(now=now)

    assert site.hits == {"/p": 1}


def test_urgent_submission_hurries_a_url_that_waits_in_bulk(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    reporter = Reporter(accounts.partner_actor(people.partner), partner=people.partner)
    waiting = [NewReport.model_validate(report(text=None, url=site.url(path))) for path in ("/older", "/p")]
    accept_reports(session, reporter, waiting, lane=Lane.BULK, now=now)
    submit(session, people, site.url("/p"), Purpose.THREAT_TO_LIFE)

    capture.capture_next(now=now)

    assert site.hits == {"/p": 1}
    assert queue.rq_queue(Bell.URGENT).count == 1


def test_second_worker_leaves_a_held_capture_alone(site: Site, session: Session, people: People, now: datetime) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(visitor: Visitor) -> None:
        entered.set()
        leave.wait(10)
        send(visitor, POST)

    site.pages["/p"] = slow
    submit(session, people, site.url("/p"))
    first = threading.Thread(target=capture.capture_next, kwargs={"now": now})
    first.start()
    assert entered.wait(10)

    assert not capture.has_work(session, now=now)
    assert not capture.capture_next(now=now)
    leave.set()
    first.join()

    assert site.hits["/p"] == 1
    assert the_capture(session).status == "done"


def test_second_worker_does_not_wait_for_a_claim_in_progress(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    submit(session, people, site.url("/p"))
    submit(session, people, site.url("/q"))

    with transaction() as first, transaction() as second:
        second.execute(text("SET LOCAL lock_timeout = '2s'"))
        claims = [capture.claim(own, now=now) for own in (first, second)]
        assert capture.claim(second, now=now) is None

    assert [claim and claim.url for claim in claims] == [site.url("/p"), site.url("/q")]


def test_doorbell_of_a_submission_brings_a_worker(site: Site, session: Session, people: People) -> None:
    from workers import worker

    submit(session, people, site.url("/p"))

    worker.run(Bell.CAPTURE, burst=True)

    assert the_capture(session).status == "done"
    assert (queue.rq_queue(Bell.CAPTURE).count, queue.rq_queue(Bell.LIVE).count) == (0, 1)


def test_four_workers_fetch_each_page_once(site: Site, session: Session, people: People, now: datetime) -> None:
    paths = [f"/{number}" for number in range(12)]
    for path in paths:
        site.pages[path] = page(f"<p>words of {path}</p>")
        submit(session, people, site.url(path))

    def drain() -> None:
        while capture.capture_next(now=now):
            pass

    workers = [threading.Thread(target=drain) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert site.hits == dict.fromkeys(paths, 1)
    texts = session.scalars(select(Post.text).join(Capture, Capture.post_id == Post.id).order_by(Capture.id))
    assert list(texts) == [f"words of {path}" for path in paths]


def test_worker_killed_in_the_fetch_loses_nothing(site: Site, session: Session, people: People, now: datetime) -> None:
    entered = threading.Event()

    def hang(visitor: Visitor) -> None:
        entered.set()
        visitor.server.closing.wait(30)

    site.pages["/p"] = in_turn(hang, page(POST))
    submit(session, people, site.url("/p"))
    program = "from datetime import *; from triage import capture; capture.capture_next(now=datetime.now(UTC))"
    with subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ)) as worker:
        assert entered.wait(30)
        worker.send_signal(signal.SIGKILL)

    assert not capture.capture_next(now=datetime.now(UTC))  # still under the dead worker's lease
    assert capture.has_work(session, now=now + LATER)
    assert capture.capture_next(now=now + LATER)

    assert the_capture(session).status == "done"
    assert the_post(session).scoring == "wanted"


def test_work_of_a_worker_whose_lease_ran_out_is_not_recorded_twice(
    site: Site, session: Session, people: People, settings: Settings, now: datetime
) -> None:
    submit(session, people, site.url("/p"))
    with transaction() as own:
        late = capture.claim(own, now=now)
    assert late
    fetched = safe_fetch.fetch(late.url, allowed_hosts={"localhost"}, allow_private=True, max_bytes=9999, seconds=9)
    sha256 = evidence.keep(settings.evidence_dir, fetched.content)

    assert capture.capture_next(now=now + LATER)
    with transaction() as own:
        recorded = capture.record(own, late, fetched, sha256, page_text.PageText("other words"))

    assert not recorded
    assert the_post(session).text == "be at the stop at half three"
    assert events(session) == ["capture.done"]
    assert len(files(settings.evidence_dir)) == 1


def test_capture_that_always_kills_its_worker_goes_to_a_person(
    site: Site, session: Session, people: People, now: datetime
) -> None:
    submit(session, people, site.url("/p"))
    for attempt in range(capture.MAX_ATTEMPTS):
        with transaction() as own:
            assert capture.claim(own, now=now + attempt * LATER)

    later = now + capture.MAX_ATTEMPTS * LATER
    assert capture.has_work(session, now=later)
    assert capture.capture_next(now=later)
    assert not capture.capture_next(now=later)

    row = the_capture(session)
    assert (row.status, row.failure) == ("failed", "not_finished")
    assert the_post(session).scoring == "wanted"
    assert site.hits["/p"] == 0


def test_full_disk_puts_the_capture_off_and_leaves_no_part_of_it(
    site: Site, session: Session, people: People, settings: Settings, now: datetime
) -> None:
    site.pages["/p"] = page(b"<p>" + b"word " * 10_000)
    submit(session, people, site.url("/p"))

    with files_end_at(4096):
        assert capture.capture_next(now=now)

    row = the_capture(session)
    assert (row.status, row.failure) == ("wanted", "not_stored")
    assert files(settings.evidence_dir) == []
    assert the_post(session).text is None
    assert capture.capture_next(now=now + LATER)
    assert the_capture(session).status == "done"


def test_nothing_of_the_page_is_in_logs_redis_or_events(
    site: Site, session: Session, people: People, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.pages["/good"] = page("<p>unmistakable words</p>")
    site.pages["/broken"] = page('<script type="application/ld+json">{"text": "unmistakable</script>')
    site.pages["/refused"] = page("unmistakable", status=404)
    site.pages["/failed"] = page("unmistakable", Content_Encoding="gzip")
    for path in list(site.pages):
        submit(session, people, site.url(path))

    while capture.capture_next(now=now):
        pass

    redis = queue.connection()
    held = b"".join(redis.dump(key) or b"" for key in redis.scan_iter())
    data = str([event.data for event in session.scalars(select(Event))])
    assert held
    assert "unmistakable" not in caplog.text + str(held) + data
