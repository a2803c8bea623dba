"""The figures say what happened, the pages do not count cases themselves, and small numbers are kept back."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from annotations import review
from annotations.figures import counting, reading
from annotations.review import View
from tests import factories
from tests.people import People
from tests.visiting import Visit
from triage.db import Case, Figure, Report, User
from triage.db.session import engine, transaction
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target, Tier

THREAT = ("TTL",)
NOTHING = ("BEN",)


def view(codes: tuple[str, ...]) -> View:
    return View(codes, SpeechAct.UNCLEAR, Target.NONE, Imminence.UNSPECIFIED)


def decide(
    session: Session,
    user: User,
    case: Case,
    first: tuple[str, ...],
    final: tuple[str, ...],
    outcome: Outcome = Outcome.ROUTE_OUT,
) -> None:
    now = datetime.now(UTC)
    review.claim(session, user, case.id, now=now)
    review.judge_first(session, user, case.id, view(first), now=now)
    review.decide(session, user, case.id, view(final), outcome=outcome, reasons="Plain words", grounds=None, now=now)
    session.commit()


def count(now: datetime | None = None) -> int:
    with transaction() as session:
        return counting.count(session, now=now or datetime.now(UTC) + timedelta(minutes=1))


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of the database."""
    seen: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(engine(), "before_cursor_execute", note)
    yield seen
    event.remove(engine(), "before_cursor_execute", note)


def test_everything_that_happened_is_counted(session: Session, people: People) -> None:
    threat = factories.scores(review=0.9, TTL=0.95)
    agreed = factories.open_case(session, people, threat, text="agreed")
    moved = factories.open_case(session, people, threat, text="moved")
    differs = factories.open_case(session, people, threat, text="differs")
    factories.open_case(session, people, factories.scores(), text="left")
    decide(session, people.moderator, agreed, THREAT, THREAT)
    decide(session, people.moderator, moved, NOTHING, THREAT)
    decide(session, people.moderator, differs, NOTHING, NOTHING, Outcome.SECOND_OPINION)
    decide(session, people.second_moderator, differs, THREAT, NOTHING, Outcome.NO_VIOLATION)
    machine = set(agreed.codes) == set(THREAT)
    assert machine

    assert count() > 0
    now = datetime.now(UTC)
    figures = reading.read(session, days=7, now=now)

    assert sum(sum(parts.values()) for parts in figures.backlog.values()) == 1
    assert sum(flow.received for flow in figures.by_day) == 4
    assert sum(flow.decided for flow in figures.by_hour) == 3
    assert figures.outcomes[Outcome.ROUTE_OUT] == 2
    assert figures.outcomes[Outcome.NO_VIOLATION] == 1
    shares = {part: (share.hits, share.n) for part, share in figures.override.items()}
    assert shares == {"first_differs": (2, 4), "changed": (2, 4), "to_machine": (1, 2), "final_differs": (2, 4)}
    top = figures.bins[-1]
    assert (top.low, top.n, top.hits, round(top.mean, 2)) == (90, 4, 2, 0.95)
    pairs = {each.topic: each.pairs for each in figures.agreement}
    assert (pairs["any"].both, pairs["any"].one, pairs["any"].neither) == (0, 1, 0)
    assert figures.counted_at is not None


def test_counting_again_changes_nothing(session: Session, people: People) -> None:
    decide(session, people.moderator, factories.open_case(session, people), THREAT, THREAT)
    now = datetime.now(UTC) + timedelta(minutes=1)
    count(now)
    rows = select(Figure.name, Figure.at, Figure.part, Figure.n, Figure.hits).order_by(
        Figure.name, Figure.at, Figure.part
    )
    first = session.execute(rows.where(Figure.name != "backlog")).all()
    session.rollback()

    assert count(now) == 0  # it is recent
    assert count(now + counting.EVERY * 2) > 0

    assert session.execute(rows.where(Figure.name != "backlog")).all() == first


def test_left_lying_counts_as_late(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    case.deadline_at = datetime.now(UTC) - timedelta(hours=1)
    session.commit()
    count()

    figures = reading.read(session, days=7, now=datetime.now(UTC))

    assert figures.first_look[Tier(case.tier or "")] == {"late": 1}
    assert figures.overdue == 1


def test_few_cases_of_one_area_are_not_shown(client: TestClient, session: Session, people: People) -> None:
    for number in range(8):
        case = factories.open_case(session, people, text=f"post {number}")
        if number < 2:
            session.execute(Report.__table__.update().where(Report.case_id == case.id).values(force_code="47"))  # type: ignore[attr-defined]
        decide(session, people.moderator, case, THREAT, THREAT)
    count()

    places = reading.read(session, days=28, now=datetime.now(UTC)).places
    page = Visit(client, people.approver).get("/figures").text

    assert {(place.scope, place.area): place.n for place in places} == {
        ("homicide", "47"): None,
        ("homicide", "GB"): None,  # 6, from which the other could be worked out
    }
    assert "Homicide and threats to life, 47" in page
    assert "under 5, or hidden" in page


@pytest.mark.parametrize("role", ["moderator", "analyst"])
def test_people_who_review_do_not_see_how_the_machine_does(client: TestClient, people: People, role: str) -> None:
    visit = Visit(client, getattr(people, role))

    assert visit.get("/figures").status_code == 403
    assert visit.get("/figures.csv").status_code == 403


def test_page_asks_little_of_the_database_and_never_for_cases(
    client: TestClient, session: Session, people: People
) -> None:
    decide(session, people.moderator, factories.open_case(session, people), THREAT, THREAT)
    count()
    visit = Visit(client, people.approver)

    with statements() as asked:
        assert visit.get("/figures?days=90").status_code == 200

    queries = [statement for statement in asked if statement.startswith("SELECT") and "pg_" not in statement]
    assert len(queries) <= 10
    assert [statement for statement in queries if "FROM cases" in statement or "FROM decisions" in statement] == []


def test_file_has_the_numbers_of_the_page(client: TestClient, session: Session, people: People) -> None:
    decide(session, people.moderator, factories.open_case(session, people), THREAT, THREAT)
    count()

    answer = Visit(client, people.approver).get("/figures.csv?days=7")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["value"] for row in rows if row["table"] == "outcomes" and row["line"] == "Route to another owner"] == [
        "1"
    ]


def test_empty_page_says_so(client: TestClient, people: People) -> None:
    assert "Nothing has been counted yet" in Visit(client, people.admin).get("/figures").text


def test_no_figure_is_about_a_person(session: Session, people: People) -> None:
    decide(session, people.moderator, factories.open_case(session, people), THREAT, THREAT)
    count()

    parts = session.scalars(select(func.string_agg(Figure.part, ";"))).one()

    for person in (people.moderator, people.approver):
        assert person.username not in parts
        assert person.pseudonym not in parts
        assert str(person.id) not in parts
