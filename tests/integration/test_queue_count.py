"""The number above the queue costs no more when a million cases wait."""

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.factories import open_case
from tests.people import People
from tests.visiting import Visit
from triage import queries


def test_cases_are_counted_no_further_than_asked(session: Session, people: People, client: TestClient) -> None:
    for number in range(3):
        open_case(session, people, text=f"invented post number {number}, nothing in it")

    assert [queries.open_count(session, most=most) for most in (1, 2, 3, 4)] == [2, 3, 3, 3]
    assert "3 open cases, most urgent first" in Visit(client, people.moderator).get("/queue").text
