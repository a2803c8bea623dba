"""Breaks are kept by the server, topics left out leave no trace, and nobody reads anybody else's figures."""

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

import annotations
from annotations import review, wellbeing
from annotations.pages.headers import CONTENT_SECURITY_POLICY
from tests import factories
from tests.people import People
from tests.visiting import HARMLESS, Visit
from triage.db import Case, Event, ExposureRow, LeftOutTopic, User
from triage.domain import exposure
from triage.domain.errors import BreakDue, Conflict
from triage.settings import current

NOW = datetime.now(UTC)
ROOT = Path(__file__).parents[2]
PRIVATE = {"ExposureRow", "LeftOutTopic", "MediaChoice"}


def have_read(session: Session, user: User, *, minutes: float, stretch: float = 0.0) -> None:
    """The person has read so much heavy content today, the last of it just now."""
    now = datetime.now(UTC)
    session.merge(
        ExposureRow(
            user_id=user.id,
            day=exposure.day_of(now),
            spent_seconds=minutes * 60,
            stretch_from=now - timedelta(minutes=stretch),
            last_at=now,
            reading_weight=0.0,
        )
    )
    session.commit()


def threat(session: Session, people: People, **changes: object) -> Case:
    case = factories.open_case(session, people, factories.scores(review=0.99, urgent=0.99, TTL=0.99), **changes)
    assert case.tier == "P0"
    return case


def test_reading_counts_until_the_case_is_put_down(session: Session, people: People) -> None:
    factories.open_case(session, people)
    case = review.claim_next(session, people.moderator, now=NOW)
    assert case is not None
    during = wellbeing.own_figures(session, people.moderator, now=NOW + timedelta(minutes=5))

    review.release(session, people.moderator, case.id, now=NOW + timedelta(minutes=6))
    after = wellbeing.own_figures(session, people.moderator, now=NOW + timedelta(minutes=9))

    weight = exposure.weight(review.taxonomy.Tier(case.tier or ""), assessed=True)
    assert (during.spent, after.spent) == (timedelta(minutes=5) * weight, timedelta(minutes=6) * weight)
    assert after.stretch == timedelta(minutes=6)


@pytest.mark.parametrize(
    ("minutes", "stretch"), [(current().exposure_minutes_a_day, 0), (1, current().exposure_minutes_at_a_stretch)]
)
def test_no_case_while_a_break_is_due(session: Session, people: People, minutes: float, stretch: float) -> None:
    case = factories.open_case(session, people)
    have_read(session, people.moderator, minutes=minutes, stretch=stretch)

    with pytest.raises(BreakDue):
        review.claim_next(session, people.moderator, now=datetime.now(UTC))
    with pytest.raises(BreakDue):
        review.claim(session, people.moderator, case.id, now=datetime.now(UTC))

    assert review.claim_next(session, people.second_moderator, now=datetime.now(UTC)) is case


def test_break_page_says_so_kindly_and_case_in_hand_stays(client: TestClient, session: Session, people: People) -> None:
    factories.open_case(session, people, text="one")
    factories.open_case(session, people, text="two")
    visit = Visit(client, people.moderator)
    path = visit.take_next()
    have_read(session, people.moderator, minutes=1000)

    assert visit.get(path).status_code == 200
    assert visit.post(f"{path}/judge", **HARMLESS, speech_act="unclear").status_code == 303
    visit.post(f"{path}/release")
    assert visit.take_next() == "/wellbeing"
    page = visit.get("/wellbeing").text
    assert "Enough for today" in page
    assert "Others will read what waits" in page


def test_on_call_takes_a_threat_with_a_logged_reason(client: TestClient, session: Session, people: People) -> None:
    case = threat(session, people)
    mild = factories.open_case(session, people, factories.scores(), text="mild")
    have_read(session, people.moderator, minutes=1000)
    visit = Visit(client, people.moderator)
    assert f"Case {case.number} is a threat to life" in visit.get("/wellbeing").text

    unsaid = visit.post(f"/wellbeing/call-out/{case.id}")
    wrong = visit.post(f"/wellbeing/call-out/{mild.id}", reason="nobody_else")
    right = visit.post(f"/wellbeing/call-out/{case.id}", reason="nobody_else")

    assert (unsaid.status_code, wrong.status_code) == (422, 409)
    assert right.headers["location"] == f"/cases/{case.id}"
    logged = session.execute(
        select(Event.actor_id, Event.data, Event.case_id).where(Event.kind == "break.set_aside")
    ).all()
    assert [tuple(row) for row in logged] == [(str(people.moderator.id), {"reason": "nobody_else"}, case.id)]
    visit.post(f"/cases/{case.id}/release")
    assert visit.take_next() == "/wellbeing"


def test_only_a_threat_to_life_sets_a_break_aside(session: Session, people: People) -> None:
    case = factories.open_case(session, people, factories.scores())

    with pytest.raises(Conflict):
        wellbeing.call_out(session, people.moderator, case.id, wellbeing.CallOut.CALLED_IN, now=NOW)


def test_topic_left_out_is_not_given_and_leaves_no_trace(session: Session, people: People) -> None:
    case = factories.open_case(session, people, factories.scores(review=0.9, WDISP=0.95), text="one")
    assert "WDISP" in case.codes
    other = factories.open_case(session, people, factories.scores(), text="two")
    before = session.scalars(select(Event.kind)).all()

    wellbeing.leave_out(session, people.moderator, {"WDISP": None})
    session.commit()

    assert session.scalars(select(Event.kind)).all() == before
    assert review.claim_next(session, people.moderator, now=NOW) is other
    assert review.claim_next(session, people.second_moderator, now=NOW) is case


def test_topic_left_out_for_today_comes_back_tomorrow(session: Session, people: People) -> None:
    case = factories.open_case(session, people, factories.scores(review=0.9, WDISP=0.95))
    wellbeing.leave_out(session, people.moderator, {"WDISP": exposure.day_of(NOW)})

    assert review.claim_next(session, people.moderator, now=NOW) is None
    assert review.claim_next(session, people.moderator, now=NOW + timedelta(days=1)) is case


def test_topics_by_the_page(client: TestClient, session: Session, people: People) -> None:
    visit = Visit(client, people.moderator)

    assert visit.post("/wellbeing/topics", today=["WIT"], always=["VID"]).status_code == 303
    too_many = visit.post("/wellbeing/topics", always=["TTL", "VTH", "INC", "RET", "WSALE", "WDISP", "CORR"])

    assert too_many.status_code == 422
    stored = {row.code: row.until for row in session.scalars(select(LeftOutTopic))}
    assert stored == {"WIT": exposure.day_of(datetime.now(UTC)), "VID": None}


def test_i_need_a_break_hands_the_work_back_at_once(client: TestClient, session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    visit = Visit(client, people.moderator)
    visit.take_next()

    assert visit.post("/wellbeing/break").headers["location"] == "/wellbeing?said=break"

    session.expire_all()
    assert case.lease_user_id is None
    assert review.claim_next(session, people.second_moderator, now=datetime.now(UTC)) is case


def test_debrief_after_a_threat_to_life_only(
    client: TestClient, session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current(), "support_contacts", "Peer support: extension 9001; The night desk")
    threat(session, people, text="one")
    factories.open_case(session, people, factories.scores(), text="two")
    visit = Visit(client, people.moderator)

    pages = []
    for _ in range(2):
        path = visit.take_next()
        visit.post(f"{path}/judge", **HARMLESS, speech_act="unclear")
        visit.post(f"{path}/decide", **HARMLESS, speech_act="unclear", outcome="no_violation")
        pages.append(visit.get(path).text)

    assert ["How are you?" in page for page in pages] == [True, False]
    assert "Peer support: extension 9001" in pages[0]


@pytest.mark.parametrize("role", ["second_moderator", "analyst", "approver", "outsider", "admin"])
def test_nobody_else_can_read_it(client: TestClient, session: Session, people: People, role: str) -> None:
    """Every page and answer without an id in its address, as another person: the figures are on none."""
    have_read(session, people.moderator, minutes=191, stretch=77)
    wellbeing.leave_out(session, people.moderator, {"WIT": None})
    session.commit()
    own = Visit(client, people.moderator).get("/wellbeing").text
    assert "3 hours 11 minutes of" in own
    assert "1 hour 17 minutes of" in own
    assert own.split("</main>")[0].count(" checked") == 4  # one topic, three choices for pictures and sound
    visit = Visit(client, getattr(people, role))

    seen = {path: visit.get(path).text for path in _paths(client)}

    assert "/wellbeing" in seen
    assert "/metrics" in seen
    assert [path for path, page in seen.items() if re.search(r"3 hours 11 minutes|1 hour 17 minutes|11460", page)] == []


def _paths(client: TestClient) -> list[str]:
    routers = [found.original_router for found in client.app.routes if hasattr(found, "original_router")]  # type: ignore[attr-defined]
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    with_id = [route.path for route in routes if "{" in route.path and "wellbeing" in route.path]
    assert with_id == ["/wellbeing/call-out/{case_id}"]  # a case, never a person
    return [route.path for route in routes if "GET" in (route.methods or ()) and "{" not in route.path]


def test_no_other_module_reads_these_tables() -> None:
    allowed = {"annotations/wellbeing.py", "triage/db/wellbeing.py", "triage/db/__init__.py"}
    readers = set()
    for room in ("triage", "annotations", "workers", "classifiers"):
        for file in (ROOT / room).rglob("*.py"):
            if "migrations" in file.parts:
                continue
            tree = ast.parse(file.read_text(encoding="utf-8"))
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            texts = {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            if names & PRIVATE or any(re.search(r"\b(exposures|left_out_topics|media_choices)\b", t) for t in texts):
                readers.add(str(file.relative_to(ROOT)))
    assert readers - allowed == set()


def test_earlier_days_are_deleted(session: Session, people: People) -> None:
    have_read(session, people.moderator, minutes=5)
    wellbeing.leave_out(session, people.moderator, {"WIT": exposure.day_of(NOW), "VID": None})

    wellbeing.forget(session, now=NOW + timedelta(days=3))

    assert session.scalars(select(ExposureRow.user_id)).all() == []
    assert session.scalars(select(LeftOutTopic.code)).all() == ["VID"]


def test_no_rankings_or_speed_on_any_page() -> None:
    """Rankings, quotas and cases by the hour have no place; the pages may say that there are none."""
    words = re.compile(
        r"leader ?board|rank(ed|ing)? (of|by) (people|reviewers|moderators)|per hour|cases an hour|fastest|your score",
        re.I,
    )
    pages = Path(annotations.__file__).parent / "templates"
    assert [page.name for page in pages.glob("*.html") if words.search(page.read_text(encoding="utf-8"))] == []


def test_media_never_load_unasked() -> None:
    """No page has a place for a post's pictures or sound, and the browser may fetch none from elsewhere."""
    assert "media-src" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    pages = Path(annotations.__file__).parent / "templates"
    assert [
        page.name
        for page in pages.glob("*.html")
        if re.search(r"<(img|video|audio|iframe|embed|object)\b", page.read_text())
    ] == []
