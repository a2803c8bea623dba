"""The number above the queue is that of the open cases."""

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.factories import open_case
from tests.people import People
from tests.visiting import Visit


def test_open_cases_are_counted(session: Session, people: People, client: TestClient) -> None:
    for number in range(3):
        open_case(session, people, text=f"invented post number {number}, nothing in it")

    assert "3 open cases, most urgent first" in Visit(client, people.moderator).get("/queue").text
