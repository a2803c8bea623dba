"""Low-risk posts are read together and decided each for itself; nothing closes unread, and it can be undone."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from annotations import batches, review
from tests import factories
from tests.people import People
from tests.visiting import Visit
from triage.cases import folded, state_of
from triage.db import Batch, Case, Decision, Event, Judgement
from triage.domain.errors import Conflict, InvalidInput, NotFound

NOW = datetime.now(UTC)
CALM = factories.scores(review=0.05)


def calm(session: Session, people: People, count: int) -> list[Case]:
    found = [factories.open_case(session, people, CALM, text=f"cake sale number {n}") for n in range(count)]
    assert {(case.flagged, case.tier in ("P3", "P4")) for case in found} == {(False, True)}
    return found


def test_each_case_has_its_own_events(session: Session, people: People) -> None:
    found = calm(session, people, 3)
    batch = batches.draw(session, people.moderator, 0.0, now=NOW)
    shown = batches.read(session, people.moderator, batch, now=NOW)
    out = found[0]

    batches.decide(session, people.moderator, batch.id, keep_out=[out.id], now=NOW + timedelta(minutes=2))
    session.commit()

    assert {row.text for row in shown} == {f"cake sale number {n}" for n in range(3)}
    for case in found:
        events = session.scalars(select(Event).where(Event.case_id == case.id).order_by(Event.id)).all()
        kinds = [event.kind for event in events if event.kind not in ("case.reported", "case.assessed")]
        decided = ["case.claimed", "case.judged", "case.decided"]
        assert kinds == ["case.read"] + ([] if case is out else decided)
        assert folded(events) == state_of(case)
    assert out.status == "open"
    assert session.scalar(select(func.count()).select_from(Decision)) == 2
    assert session.scalar(select(func.count()).select_from(Judgement)) == 4


@pytest.mark.parametrize(
    "given",
    [factories.scores(review=0.9, TTL=0.9), factories.NOT_ASSESSED, factories.scores(review=0.75)],
)
def test_what_was_flagged_or_not_assessed_is_never_in_a_batch(session: Session, people: People, given: object) -> None:
    factories.open_case(session, people, given)  # type: ignore[arg-type]

    assert sum(batches.distribution(session, now=NOW).values()) == 0
    for low, _ in batches.RANGES:
        with pytest.raises(InvalidInput):
            batches.draw(session, people.moderator, low, now=NOW)


def test_urgent_report_keeps_a_post_out(session: Session, people: People) -> None:
    factories.open_case(session, people, CALM, urgent=True)

    assert sum(batches.distribution(session, now=NOW).values()) == 0


def test_range_is_shown_and_no_score(client: TestClient, session: Session, people: People) -> None:
    calm(session, people, 14)
    visit = Visit(client, people.moderator)
    assert "0% to 10%: 14 cases" in visit.get("/batches").text

    path = visit.post("/batches", range="0").headers["location"]
    page = visit.get(path).text

    assert page.count("cake sale number") == 12
    assert "%" not in page.split("<main")[1].split("</main>")[0]


def test_undo_opens_them_again_for_ten_minutes(session: Session, people: People) -> None:
    found = calm(session, people, 2)
    batch = batches.draw(session, people.moderator, 0.0, now=NOW)
    batches.decide(session, people.moderator, batch.id, keep_out=[], now=NOW)

    assert batches.undo(session, people.moderator, batch.id, now=NOW + batches.UNDO) == 2
    session.commit()

    assert {case.status for case in found} == {"open"}
    assert review.claim_next(session, people.moderator, now=datetime.now(UTC)) in found
    with pytest.raises(Conflict):
        batches.undo(session, people.moderator, batch.id, now=NOW)


def test_undo_comes_too_late(session: Session, people: People) -> None:
    calm(session, people, 1)
    batch = batches.draw(session, people.moderator, 0.0, now=NOW)
    batches.decide(session, people.moderator, batch.id, keep_out=[], now=NOW)

    with pytest.raises(Conflict, match="too late"):
        batches.undo(session, people.moderator, batch.id, now=NOW + batches.UNDO + timedelta(seconds=1))


def test_what_another_took_meanwhile_stays_theirs(session: Session, people: People) -> None:
    taken, free = calm(session, people, 2)
    batch = batches.draw(session, people.moderator, 0.0, now=NOW)
    review.claim(session, people.second_moderator, taken.id, now=NOW)

    batches.decide(session, people.moderator, batch.id, keep_out=[], now=NOW)

    assert batch.decided_ids == [free.id]
    assert (taken.status, taken.lease_user_id) == ("open", people.second_moderator.id)


def test_nobody_elses_batch(session: Session, people: People) -> None:
    calm(session, people, 1)
    batch = batches.draw(session, people.moderator, 0.0, now=NOW)

    with pytest.raises(NotFound):
        batches.decide(session, people.second_moderator, batch.id, keep_out=[], now=NOW)


def test_database_refuses_what_was_not_shown(session: Session, people: People) -> None:
    calm(session, people, 1)
    batch = batches.draw(session, people.moderator, 0.0, now=NOW)
    session.commit()
    other = factories.open_case(session, people, CALM, text="never shown")

    with pytest.raises(IntegrityError, match="only_what_was_shown"):
        session.execute(update(Batch).where(Batch.id == batch.id).values(decided_ids=[other.id]))


def test_by_the_page_with_undo(client: TestClient, session: Session, people: People) -> None:
    (case,) = calm(session, people, 1)
    visit = Visit(client, people.moderator)
    path = visit.post("/batches", range="0").headers["location"]
    visit.get(path)

    visit.post(f"{path}/decide")
    done = visit.get(path).text
    visit.post(f"{path}/undo")

    session.expire_all()
    assert "1 decided as no violation" in done
    assert "Undone" in visit.get(path).text
    assert case.status == "open"
    assert visit.post("/batches", range="55").status_code == 422
