"""What was given up is on a list with its reason, and can be tried again."""

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from annotations import desk
from tests.factories import accept, scores
from tests.people import People
from tests.visiting import Visit
from triage import assessment, audit, capture, dead_letters, queue
from triage.assessment import Claimed
from triage.db import AssessmentRow, Capture, Case, DeadLetter, Event, Post, PostScores
from triage.db.session import session_factory
from triage.domain.errors import Conflict, NotFound
from triage.domain.scores import NotAssessed, Scores
from triage.domain.words import Lane
from triage.page_text import PageText
from triage.queue import Bell
from triage.safe_fetch import Fetched
from workers import doctor
from workers.cli import app

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SYSTEM = audit.system("tests")


def claim(session: Session) -> list[Claimed]:
    return [one for lane in Lane for one in assessment.claim_posts(session, lane, limit=100, lease_seconds=60)]


def give_up(session: Session, people: People, text: str = "a post", *, now: datetime = NOW) -> uuid.UUID:
    """A post that the model failed on; the line's id."""
    accept(session, people, text=text)
    return fail(session, now=now)


def fail(session: Session, *, now: datetime = NOW) -> uuid.UUID:
    session.commit()
    assert assessment.record_failures(session, SYSTEM, claim(session), try_again=False, now=now) == 1
    session.commit()
    return session.scalars(select(DeadLetter.id).order_by(DeadLetter.given_up_at.desc())).first()  # type: ignore[return-value]


def score(session: Session, given: Scores, version: str = "t") -> int:
    session.commit()
    claims: Sequence[Claimed] = claim(session)
    done = assessment.record_scores(
        session, SYSTEM, [(one, given) for one in claims], pipeline_version=version, now=NOW + timedelta(hours=1)
    )
    session.commit()
    return done


def wrong(session: Session) -> set[str]:
    session.commit()
    audit.seal(session)
    session.commit()
    found = {finding.name for finding in doctor.examine(session) if finding.ok is False}
    session.rollback()
    return found - {"lanes with posts and no worker"}


def test_given_up_post_says_why_when_and_how_often(session: Session, people: People) -> None:
    give_up(session, people)

    [line] = dead_letters.listed(session, limit=10)
    case = session.scalars(select(Case)).one()
    assert (line.work, line.reason, line.attempts, line.times) == ("post", assessment.FAILED_ON_THIS, 1, 1)
    assert (line.given_up_at, line.case_number, line.case_status) == (NOW, case.number, "open")


def test_second_scoring_updates_the_one_case(session: Session, people: People) -> None:
    line = give_up(session, people)
    case = session.scalars(select(Case)).one()
    queue.connection().flushdb()

    dead_letters.retry(session, SYSTEM, line, now=NOW)
    session.commit()
    assert queue.rq_queue(Bell.LIVE).count == 1
    assert dead_letters.count(session) == 0
    assert wrong(session) == set()
    assert score(session, scores(review=0.95, TTL=0.9)) == 1

    session.refresh(case)
    assert (case.assessed, case.tier, case.codes, case.status) == (True, "P1", ["TTL"], "open")
    assert session.scalar(select(func.count()).select_from(Case)) == 1
    view = desk.read_opinions(session, people.moderator, case).machine
    assert view is not None
    assert (view.assessed, view.pipeline_version) == (True, "t")
    kinds = session.scalars(select(Event.kind).where(Event.case_id == case.id).order_by(Event.id)).all()
    assert kinds == ["case.reported", "case.assessed", "post.retried", "case.assessed"]
    assert wrong(session) == set()


def test_post_that_fails_again_comes_back_as_the_same_line(session: Session, people: People) -> None:
    line = give_up(session, people)
    dead_letters.retry(session, SYSTEM, line, now=NOW)

    assert fail(session, now=NOW + timedelta(hours=1)) == line

    [found] = dead_letters.listed(session, limit=10)
    assert (found.id, found.times, found.given_up_at) == (line, 2, NOW + timedelta(hours=1))
    assert session.scalars(select(Case.assessed)).all() == [False]
    assert session.scalar(select(func.count()).select_from(AssessmentRow)) == 1
    assert wrong(session) == set()


def test_one_try_at_a_time(session: Session, people: People) -> None:
    line = give_up(session, people)
    dead_letters.retry(session, SYSTEM, line, now=NOW)

    with pytest.raises(Conflict):
        dead_letters.retry(session, SYSTEM, line, now=NOW)
    with pytest.raises(NotFound):
        dead_letters.retry(session, SYSTEM, uuid.uuid4(), now=NOW)
    assert session.scalar(select(func.count()).where(Event.kind == "post.retried")) == 1


def test_two_people_who_try_all_again_share_the_lines(session: Session, people: People) -> None:
    for n in range(3):
        give_up(session, people, f"post {n}")
    with session_factory()() as other:
        first = dead_letters.retry_all(session, SYSTEM, now=NOW)
        second = dead_letters.retry_all(other, SYSTEM, now=NOW)
        other.commit()
    session.commit()

    assert (first, second) == (3, 0)
    assert session.scalar(select(func.count()).where(Event.kind == "post.retried")) == 3


def capture_fails(session: Session, *, now: datetime) -> None:
    session.commit()
    claimed = capture.claim(session, now=now)
    assert claimed is not None
    session.commit()
    capture._settle(claimed, "gone", retry=False, now=now)


def test_capture_that_failed_is_fetched_again_and_its_case_assessed(session: Session, people: People) -> None:
    accept(session, people, text=None, url="https://x.com/owl/1")
    capture_fails(session, now=NOW)
    assert score(session, Scores(not_assessed=NotAssessed.EMPTY)) == 1
    case = session.scalars(select(Case)).one()
    assert (case.assessed, case.status) == (False, "open")
    [line] = dead_letters.listed(session, limit=10)
    assert (line.work, line.reason, line.case_number) == ("capture", "the page is no longer there", case.number)

    dead_letters.retry(session, SYSTEM, line.id, now=NOW)
    assert wrong(session) == set()
    claimed = capture.claim(session, now=NOW)
    assert claimed is not None
    page = Fetched("https://x.com/owl/1", 200, "text/html", "utf-8", {}, b"words", NOW)
    assert capture.record(session, claimed, page, "0" * 64, PageText("bring your dipper to the station"))
    assert score(session, scores(review=0.95, TTL=0.9)) == 1  # by the same pipeline that had no text to read

    session.refresh(case)
    assert (case.assessed, case.tier, session.scalar(select(func.count()).select_from(Case))) == (True, "P1", 1)
    row = session.scalars(select(PostScores)).one()
    assert (row.not_assessed, row.review) == (None, 0.95)
    assert session.scalars(select(AssessmentRow.codes)).all() == [["TTL"]]
    assert session.scalars(select(Capture.status)).all() == ["done"]
    assert wrong(session) == set()


def test_capture_tried_again_takes_its_post_from_the_worker_that_found_no_text(
    session: Session, people: People
) -> None:
    accept(session, people, text=None, url="https://x.com/owl/1")
    capture_fails(session, now=NOW)
    session.commit()
    held = claim(session)
    session.commit()
    dead_letters.retry_all(session, SYSTEM, now=NOW)
    session.commit()

    without = [(held[0], Scores(not_assessed=NotAssessed.EMPTY))]
    assert assessment.record_scores(session, SYSTEM, without, pipeline_version="t", now=NOW) == 0
    assert session.scalars(select(Post.scoring)).all() == ["no_text"]


def test_command_line_lists_and_tries_again(session: Session, people: People) -> None:
    lines = [give_up(session, people, f"post {n}", now=NOW + timedelta(hours=n)) for n in range(3)]

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["dead", *words])
        return result.output if result.exit_code == 0 else str(result.exception)

    listed = run("list", "--limit", "2").splitlines()
    assert [row.split()[0] for row in listed] == [str(lines[2]), str(lines[1]), "2"]
    assert f"1 attempts: {assessment.FAILED_ON_THIS}" in listed[0]
    assert run("retry", str(lines[1])) == "1 to be tried again\n"
    assert "already" in run("retry", str(lines[1]))
    assert "or --all" in run("retry")
    assert run("retry", "--all") == "2 to be tried again\n"
    assert run("list") == "0 of 0\n"
    retried = session.execute(select(Event.actor_id, Event.data).where(Event.kind == "post.retried")).all()
    assert [actor for actor, _ in retried] == ["command line"] * 3
    assert retried[0][1] == {"reason": assessment.FAILED_ON_THIS, "attempts": 1, "times": 1}


def test_page_lists_without_text_and_tries_one_again(client: TestClient, session: Session, people: People) -> None:
    give_up(session, people, "quite unmistakable words")
    give_up(session, people, "other words")
    visit = Visit(client, people.admin)

    page = visit.get("/given-up").text
    assert ("unmistakable" in page, "2 given up" in page) == (False, True)
    assert assessment.FAILED_ON_THIS.capitalize() in page
    [_, second] = re.findall(r'action="(/given-up/[^"]+/retry)"', page)
    answer = visit.post(second)
    assert (answer.status_code, answer.headers["location"]) == (303, "/given-up?again=1")
    assert visit.post(second).headers["location"] == "/given-up?again=0"
    assert "1 is being tried again" in visit.get("/given-up?again=1").text

    assert visit.post("/given-up/retry-all").headers["location"] == "/given-up?again=1"
    assert "Nothing is on the list" in visit.get("/given-up").text
    actors = session.execute(select(Event.actor_kind, Event.actor_id).where(Event.kind == "post.retried")).all()
    assert actors == [("user", str(people.admin.id))] * 2


def test_long_list_has_pages_and_a_fixed_number_of_queries(
    client: TestClient, session: Session, people: People
) -> None:
    for n in range(51):
        accept(session, people, text=f"post {n}")
    session.commit()
    assessment.record_failures(session, SYSTEM, claim(session), try_again=False, now=NOW)
    session.commit()
    visit = Visit(client, people.admin)

    pages = [visit.get(f"/given-up?page={n}").text for n in (1, 2)]

    assert [page.count('/retry"') for page in pages] == [50, 1]
    assert ("Page 1 of 2" in pages[0], "Older" in pages[0], "Newer" in pages[1]) == (True, True, True)
