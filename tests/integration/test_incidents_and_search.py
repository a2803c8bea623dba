"""Notes on what goes on, and finding cases."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests import factories
from tests.people import People
from tests.visiting import Visit
from triage import case_search, incidents
from triage.db import Event
from triage.domain.errors import Conflict, Forbidden, InvalidInput
from triage.domain.words import Purpose

NOW = datetime.now(UTC)
NOTE = "Confirmed at two o'clock. Expect grief, and people who report news."


def opened(session: Session, people: People, **changes: object) -> incidents.Incident:
    given = {"title": "Fire at the quay", "note": NOTE, "hours": 4, "queue": None, "platform": None, "now": NOW}
    incident = incidents.open_incident(session, people.approver, **(given | changes))  # type: ignore[arg-type]
    session.commit()
    return incident


def test_note_is_shown_until_it_ends(client: TestClient, session: Session, people: People) -> None:
    visit = Visit(client, people.approver)
    form = {"title": "Fire at the quay", "note": NOTE, "hours": "4"}
    assert visit.post("/incidents", **form).status_code == 303
    queue = Visit(client, people.moderator)
    assert "Expect grief" in queue.get("/queue").text
    factories.open_case(session, people)
    assert "Expect grief" in queue.get(queue.take_next()).text

    incident = incidents.recent(session)[0]
    assert incidents.running(session, now=incident.ends_at) == []
    assert visit.post(f"/incidents/{incident.id}/close").status_code == 303
    assert visit.post(f"/incidents/{incident.id}/close").status_code == 409
    assert "Expect grief" not in queue.get("/queue").text
    kinds = select(Event.kind).where(Event.object_type == "incident").order_by(Event.id)
    assert session.scalars(kinds).all() == ["incident.opened", "incident.closed"]


def test_note_concerns_cases_of_its_queue_platform_and_time(session: Session, people: People) -> None:
    case = factories.open_case(session, people, text="one")
    fits = opened(session, people, queue="soon", platform="Chirper")
    opened(session, people, queue="general")
    opened(session, people, platform="picstream")
    opened(session, people, now=NOW + timedelta(hours=2))

    assert [found.id for found in incidents.concerning(session, case, "chirper", now=NOW)] == [fits.id]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"title": " "}, "title"), ({"note": ""}, "note"), ({"hours": 73}, "hours"), ({"queue": "x"}, "queue")],
)
def test_incident_says_what_and_for_how_long(
    session: Session, people: People, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        opened(session, people, **changes)
    assert refused.value.field == field


def test_only_approvers_and_administrators_open_incidents(session: Session, people: People) -> None:
    opened(session, people)
    with pytest.raises(Forbidden):
        incidents.close_incident(session, people.moderator, incidents.recent(session)[0].id, now=NOW)
    incidents.close_incident(session, people.admin, incidents.recent(session)[0].id, now=NOW)
    with pytest.raises(Conflict):
        incidents.close_incident(session, people.admin, incidents.recent(session)[0].id, now=NOW)


def test_cases_are_found_by_number_platform_host_and_what_a_reporter_said(
    client: TestClient, session: Session, people: People
) -> None:
    one = factories.open_case(session, people, text="the bus", url="https://pages.chirper.example/p/1?q=2")
    two = factories.open_case(session, people, text="the tram", platform="Picstream", reason="Seen beside the quayside")
    visit = Visit(client, people.moderator)

    def found(words: str) -> set[int]:
        page = visit.post("/search", q=words).text
        return {case.number for case in (one, two) if f"/cases/{case.id}" in page}

    assert found(str(one.number)) == {one.number}
    assert found("pages.chirper.example") == {one.number}
    assert found("picstream") == {two.number}
    assert found("quayside seen") == {two.number}
    assert (found("quayside -seen"), found("tram"), found("99999999999999999")) == (set(), set(), set())
    assert visit.post("/search", q=" ").status_code == 422


def test_words_of_posts_are_searched_by_few_with_a_purpose_and_logged(
    client: TestClient, session: Session, people: People
) -> None:
    case = factories.open_case(session, people, text="they meet by the tram at noon")
    visit = Visit(client, people.approver)

    refused = Visit(client, people.moderator).post("/search", q="tram", in_posts="yes", purpose="safeguarding")
    assert refused.status_code == 403
    assert visit.post("/search", q="tram", in_posts="yes").status_code == 422
    page = visit.post("/search", q="tram noon", in_posts="yes", purpose="safeguarding").text

    assert (str(case.number) in page, "they meet" in page) == (True, False)
    event = session.scalars(select(Event).where(Event.kind == "case.searched")).one()
    assert (event.operation, event.purpose, event.actor_id) == (
        "consultation",
        Purpose.SAFEGUARDING.value,
        str(people.approver.id),
    )
    assert (event.data["cases"], event.data["in_posts"], "tram" in str(event.data)) == ([case.number], True, False)


def test_handles_are_not_searched(session: Session, people: People) -> None:
    factories.open_case(
        session, people, text="one", author_handle="@nightowl", url="https://chirper.example/nightowl/1"
    )

    for role in (people.moderator, people.approver):
        assert case_search.search(session, role, "nightowl", in_posts=False, purpose=None) == []


def test_word_that_fits_too_many_is_refused(
    client: TestClient, session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_search, "TOO_MANY", 1)
    for words in ("one", "two"):
        factories.open_case(session, people, text=words)

    answer = Visit(client, people.moderator).post("/search", q="chirper")

    assert (answer.status_code, "add another word" in answer.text) == (422, True)
