"""From a post that wants scores to an open case."""

import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.orm import Session

from tests.factories import NOT_ASSESSED, accept, open_case, scores
from tests.people import People
from triage import assessment, audit, cases, queue
from triage.assessment import Claimed
from triage.db import AssessmentRow, Case, DeadLetter, Event, Post, PostScores
from triage.db.session import engine, session_factory
from triage.domain.scores import Scores
from triage.domain.words import Lane
from triage.queue import Bell
from triage.settings import current
from workers import jobs, schedule

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SYSTEM = audit.system("tests")


def claim(session: Session, **changes: object) -> list[Claimed]:
    options = {"limit": 32, "lease_seconds": 60} | changes
    claims = assessment.claim_posts(session, Lane.LIVE, **options)  # type: ignore[arg-type]
    session.commit()
    return claims


def record(session: Session, claims: Sequence[Claimed], given: Scores) -> int:
    done = assessment.record_scores(session, SYSTEM, [(one, given) for one in claims], pipeline_version="t", now=NOW)
    session.commit()
    return done


def test_scored_post_opens_its_case_with_tier_and_reasons(session: Session, people: People) -> None:
    case = open_case(session, people, scores(review=0.97, urgent=0.9, TTL=0.95))

    assert (case.status, case.tier, case.band, case.assessed, case.flagged) == ("open", "P0", 0, True, True)
    assert case.codes == ["TTL"]
    row = session.scalars(select(AssessmentRow)).one()
    assert row.reasons[0] == "Threat to life or serious violence: 95%"
    assert case.deadline_at == case.received_at + timedelta(minutes=15)


def test_clean_post_opens_its_case_too(session: Session, people: People) -> None:
    case = open_case(session, people, scores())

    assert (case.status, case.tier, case.flagged) == ("open", "P4", False)


def test_not_assessed_is_not_clean(session: Session, people: People) -> None:
    case = open_case(session, people, NOT_ASSESSED)

    assert (case.status, case.tier, case.assessed, case.flagged) == ("open", "P2", False, True)


def test_two_workers_never_hold_the_same_post(session: Session, people: People) -> None:
    for n in range(5):
        accept(session, people, text=f"post {n}")
    session.commit()

    with session_factory()() as other:
        mine = assessment.claim_posts(session, Lane.LIVE, limit=3, lease_seconds=60)
        theirs = assessment.claim_posts(other, Lane.LIVE, limit=3, lease_seconds=60)
        other.commit()
    session.commit()

    held = [one.post_id for one in (*mine, *theirs)]
    assert len(held) == len(set(held)) == 5


def test_late_result_is_left_to_the_worker_that_took_over(session: Session, people: People) -> None:
    accept(session, people)
    session.commit()
    slow = claim(session)
    session.execute(update(Post).values(scoring_lease_until=func.now() - timedelta(seconds=60)))
    session.commit()
    quick = claim(session, retry=True)

    assert record(session, quick, scores(review=0.9, TTL=0.9)) == 1
    assert record(session, slow, scores()) == 0
    assert session.scalar(select(func.count()).select_from(PostScores)) == 1
    assert session.scalars(select(Case.tier)).one() == "P1"


def test_post_that_kills_its_worker_is_retried_alone_and_then_given_up(session: Session, people: People) -> None:
    for n in range(3):
        accept(session, people, text=f"post {n}")
    session.commit()
    claim(session)  # and the worker dies
    for _ in range(2):
        session.execute(update(Post).values(scoring_lease_until=func.now() - timedelta(minutes=5)))
        session.commit()
        assert len(claim(session, retry=True, limit=1)) == 1

    session.execute(update(Post).values(scoring_lease_until=func.now() - timedelta(seconds=1), scoring_attempts=3))
    given_up = assessment.give_up(session, SYSTEM, now=NOW)
    session.commit()

    assert given_up == 3
    assert set(session.scalars(select(Case.assessed))) == {False}
    assert session.scalar(select(func.count()).select_from(DeadLetter)) == 3


def test_batch_of_long_posts_is_cut_short_but_never_empty(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "BATCH_CHARS", 100)
    for n in range(4):
        accept(session, people, text=f"{n}" * 40)
    accept(session, people, text="x" * 101)
    session.commit()

    taken = [[len(one.text) for one in claim(session)] for _ in range(4)]

    assert taken == [[40, 40], [40, 40], [101], []]


def test_few_posts_to_retry_are_found_without_reading_the_backlog(session: Session) -> None:
    """Also by a plan kept for all parameters: it uses an index with a condition only if that is in the statement."""
    session.execute(
        text(
            "INSERT INTO posts (identity, platform, text, lane, scoring) "
            "SELECT n, 'chirper', 'a post', 'bulk', 'wanted' FROM generate_series(1, 3000) n"
        )
    )
    session.commit()
    session.execute(text("ANALYZE posts"))
    said: list[str] = []
    event.listen(engine(), "before_cursor_execute", lambda *about: said.append(about[2]), once=True)
    assessment.claim_posts(session, Lane.BULK, limit=1, lease_seconds=60, retry=True)
    event.listen(engine(), "before_cursor_execute", lambda *about: said.append(about[2]), once=True)
    assessment.give_up(session, SYSTEM, now=NOW)

    assert len(said) == 2
    for statement in said:
        numbers = itertools.count(1)
        numbered = re.sub(r"%\(\w+\)s", lambda _: f"${next(numbers)}", statement)  # noqa: B023 -- called at once
        plan = session.connection().exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {numbered}").scalars().all()
        assert "ix_posts_scoring_tried" in "\n".join(plan)


class PoisonedBy:
    """A scorer that fails on any batch with a poisonous text in it."""

    version = "t"

    def __init__(self, text: str) -> None:
        self.text = text

    def score(self, texts: Sequence[str]) -> list[Scores]:
        if self.text in texts:
            raise RuntimeError("poison")
        return [scores() for _ in texts]


def test_poison_post_is_isolated_from_its_batch(session: Session, people: People) -> None:
    for n in range(7):
        accept(session, people, text=f"post {n}")
    session.commit()
    claims = claim(session)

    scored = jobs.score_each(PoisonedBy("post 4"), claims)

    assert [one.text for one, result in scored if not result.assessed] == ["post 4"]
    assert len(scored) == 7


def test_case_row_is_the_fold_of_its_events(session: Session, people: People) -> None:
    case = open_case(session, people)
    accept(session, people)
    session.commit()

    session.refresh(case)
    events = session.scalars(select(Event).where(Event.case_id == case.id).order_by(Event.id)).all()
    assert cases.folded(events) == cases.state_of(case)
    assert case.report_count == 2


def test_overdue_case_moves_up_one_band_but_never_to_p0(session: Session, people: People) -> None:
    late = open_case(session, people, scores(review=0.9, SUP=0.9), text="late")
    later = open_case(session, people, scores(review=0.9, TTL=0.9), text="very late")
    session.execute(update(Case).values(deadline_at=NOW - timedelta(days=9), received_at=NOW - timedelta(days=9)))
    session.commit()

    moved = schedule.lift_overdue(session, NOW)
    session.commit()

    assert moved == 1
    assert (late.tier, late.band) == ("P3", 2)
    assert (later.tier, later.band) == ("P1", 1)
    assert schedule.lift_overdue(session, NOW) == 0


@pytest.mark.parametrize("flushed", [True, False])
def test_sweep_rings_for_work_that_nobody_heard(session: Session, people: People, flushed: bool) -> None:

    accept(session, people)
    session.commit()
    if flushed:
        queue.connection().flushdb()

    schedule.sweep(session, NOW)

    assert queue.rq_queue(Bell.LIVE).count == 1


def test_post_of_a_dead_worker_waits_longer_after_each_attempt(session: Session, people: People) -> None:
    """Between half and one and a half times a tenth of the lease, then four times that."""
    for n in range(40):
        accept(session, people, text=f"post {n}")
    session.commit()
    claim(session, limit=40)  # and the worker dies
    tenth = current().scoring_lease_seconds / 10

    def due(attempts: int, seconds: float) -> int:
        ago = func.now() - timedelta(seconds=seconds)
        session.execute(update(Post).values(scoring_lease_until=ago, scoring_attempts=attempts))
        found = len(assessment.claim_posts(session, Lane.LIVE, limit=40, lease_seconds=60, retry=True))
        session.rollback()
        return found

    first = [due(1, tenth * part) for part in (0.45, 1.0, 1.55)]
    second = [due(2, 4 * tenth * part) for part in (0.45, 1.0, 1.55)]

    assert (first[0], first[2], second[0], second[2]) == (0, 40, 0, 40)
    assert 5 < first[1] < 35, "they are not scattered"
    assert second[1] == first[1]


class Broken:
    """A model that fails on everything until it is mended."""

    version = "t"

    def __init__(self) -> None:
        self.calls = 0
        self.mended = False

    def score(self, texts: Sequence[str]) -> list[Scores]:
        self.calls += 1
        if not self.mended:
            raise RuntimeError("broken")
        return [scores() for _ in texts]


def run_lane(monkeypatch: pytest.MonkeyPatch, model: object) -> None:
    monkeypatch.setattr(jobs, "pipeline", lambda: model)
    jobs.classify(str(Lane.LIVE))


def make_due(session: Session) -> None:
    session.rollback()
    session.execute(update(Post).values(scoring_lease_until=func.now() - timedelta(seconds=1)))
    session.commit()


def test_model_that_fails_on_everything_is_not_stormed(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(40):
        accept(session, people, text=f"post {n}")
    session.commit()
    queue.connection().flushdb()
    model = Broken()

    run_lane(monkeypatch, model)

    assert model.calls == 2 * 32 - 1 + 1  # one batch by halves, and the plain text; the other eight are left alone
    tried = select(func.count()).where(Post.scoring_attempts == 1)
    assert session.scalar(tried) == 32
    assert queue.rq_queue(Bell.LIVE).count == 0  # the next try is the sweep's
    waits = session.scalars(
        select(func.extract("epoch", Post.scoring_lease_until - func.now())).where(Post.scoring_attempts == 1)
    ).all()
    assert 3 < min(waits) < max(waits) < 15
    assert len(set(waits)) > 16
    assert session.scalars(select(Case.status).distinct()).all() == ["waiting"]
    run_lane(monkeypatch, model)
    run_lane(monkeypatch, model)
    session.rollback()
    assert set(session.scalars(select(Post.scoring_attempts))) == {1}  # none of them is due


def test_posts_that_were_put_off_are_scored_together_when_the_model_works_again(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(32):
        accept(session, people, text=f"post {n}")
    session.commit()
    model = Broken()
    run_lane(monkeypatch, model)
    make_due(session)
    model.mended, model.calls = True, 0

    run_lane(monkeypatch, model)

    assert model.calls == 1
    assert set(session.scalars(select(Case.assessed))) == {True}
    assert session.scalar(select(func.count()).select_from(DeadLetter)) == 0


def test_posts_are_given_up_when_the_model_never_works_again(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        accept(session, people, text=f"post {n}")
    session.commit()

    waits = []
    for _ in range(3):
        make_due(session)
        run_lane(monkeypatch, Broken())
        waits.append(session.scalar(select(func.extract("epoch", func.min(Post.scoring_lease_until) - func.now()))))

    assert 3 < waits[0] < 15 < waits[1] < 61
    assert waits[2] is None
    assert set(session.scalars(select(Case.assessed))) == {False}
    assert set(session.scalars(select(Case.status))) == {"open"}
    assert session.scalars(select(DeadLetter.reason)).all() == [assessment.FAILED] * 3


def test_post_that_alone_breaks_the_model_goes_to_a_person_at_once(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(session, people, text="post 4")
    session.commit()

    run_lane(monkeypatch, PoisonedBy("post 4"))

    assert session.scalars(select(Case.assessed)).all() == [False]
    assert session.scalars(select(DeadLetter.reason)).all() == [assessment.FAILED_ON_THIS]
