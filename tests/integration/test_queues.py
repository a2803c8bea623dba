"""Which queue a case is in, what the queue page lists, and which case comes next."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from annotations import review
from tests import factories
from tests.people import People
from tests.visiting import HARMLESS, Visit
from triage import accounts, intake, queries_queue, routing
from triage.db import Case, CaseWords, SavedView
from triage.domain.routing import CURRENT
from triage.intake import Reporter
from triage.new_report import NewReport

NOW = datetime.now(UTC)
P0 = factories.scores(review=0.95, urgent=0.9, TTL=0.95)
LOW = factories.scores()


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'id="case-(\d+)"', page)]


def test_case_is_in_its_queue_when_it_opens(session: Session, people: People) -> None:
    made = {
        "life": factories.open_case(session, people, P0, text="one"),
        "at_risk": factories.open_case(session, people, purpose="safeguarding", text="two"),
        "not_assessed": factories.open_case(session, people, factories.NOT_ASSESSED, text="three"),
        "soon": factories.open_case(session, people, text="four"),
        "general": factories.open_case(session, people, LOW, text="five"),
    }

    assert {case.queue: case for case in made.values()} == made
    assert {case.queue_rules for case in made.values()} == {CURRENT.version}
    assert queries_queue.fill(session) == dict.fromkeys(CURRENT.by_name, 0) | dict.fromkeys(made, 1)


def test_another_report_and_new_rules_move_an_open_case(session: Session, people: People) -> None:
    case = factories.open_case(session, people, text="the same post")
    analyst = Reporter(accounts.actor_of(people.analyst), user_id=people.analyst.id)
    again = factories.report(text="the same post", acquisition_mode="police_tasking", reason="seen near the quayside")
    intake.accept_report(session, analyst, NewReport.model_validate(again), now=NOW)
    session.commit()
    session.refresh(case)
    assert (case.queue, case.queue_rules) == ("soon", "")

    assert (routing.renew(session), routing.renew(session)) == (1, 0)
    session.commit()
    assert case.queue == "police"
    found = session.scalar(select(CaseWords.case_id).where(CaseWords.about.op("@@")(text("'quayside'::tsquery"))))
    assert found == case.id

    session.execute(update(Case).values(queue="general", queue_rules="2019-01-01"))
    assert routing.renew(session) == 1
    session.refresh(case)
    assert (case.queue, case.queue_rules) == ("police", CURRENT.version)


def test_next_comes_from_the_chosen_queue_or_from_all(client: TestClient, session: Session, people: People) -> None:
    low = factories.open_case(session, people, LOW, text="one")
    life = factories.open_case(session, people, P0, text="two")
    visit = Visit(client, people.moderator)

    assert visit.post("/queue/next", queue="general").headers["location"] == f"/cases/{low.id}"
    visit.post(f"/cases/{low.id}/pass")
    assert visit.post("/queue/next", queue="general").headers["location"] == "/queue?queue=general&empty=1"
    assert "in this queue" in visit.get("/queue?queue=general&empty=1").text
    assert visit.take_next() == f"/cases/{life.id}"


def test_threat_to_life_comes_before_what_is_kept_for_a_person(session: Session, people: People) -> None:
    kept = factories.open_case(session, people, LOW, text="one")
    factories.open_case(session, people, text="two")
    life = factories.open_case(session, people, P0, text="three")
    kept.assigned_user_id, kept.assigned_until = people.moderator.id, NOW + timedelta(hours=1)
    life.assigned_user_id, life.assigned_until = people.second_moderator.id, NOW + timedelta(hours=1)
    session.commit()

    taken = []
    for _ in range(2):
        case = review.claim_next(session, people.moderator, now=NOW)
        assert case is not None
        taken.append(case.id)
        review.pass_case(session, people.moderator, case.id, now=NOW)

    assert taken == [life.id, kept.id]


def test_page_shows_queues_with_counts_and_the_sum_in_words(
    client: TestClient, session: Session, people: People
) -> None:
    factories.open_case(session, people, P0, text="one")
    factories.open_case(session, people, factories.scores(review=0.83, TTL=0.77), text="two")
    page = re.sub(r"\s+", " ", Visit(client, people.moderator).get("/queue?queue=soon").text)

    assert re.search(r"Life at risk</a> <span[^>]*>1<", page)
    assert 'aria-current="page">Within the hour<' in page
    for words in ("P1, which wants a first look within 1 hour", "Never counts: people also report to silence"):
        assert words in page, words
    assert ("77%" in page, "83%" in page) == (False, False)


def test_clocks_run_until_somebody_looks(session: Session, people: People) -> None:
    case = factories.open_case(session, people, now=NOW, text="one")
    late = NOW + timedelta(hours=2)
    before = {clock.tier: clock for clock in queries_queue.clocks(session, now=late)}
    assert [(clock.waiting, clock.overdue) for clock in before.values()] == [(0, 0), (1, 1), (0, 0), (0, 0), (0, 0)]
    assert before["P1"].first_due == case.deadline_at

    review.claim_next(session, people.moderator, now=NOW)

    after = queries_queue.clocks(session, now=late)
    assert [(clock.waiting, clock.overdue, clock.first_due) for clock in after] == [(0, 0, None)] * 5


def test_pages_hold_every_case_once_and_in_order(client: TestClient, session: Session, people: People) -> None:
    for number in range(queries_queue.ON_A_PAGE + 3):
        factories.open_case(session, people, factories.scores(review=0.9, TTL=0.7 + number % 3 / 10), text=str(number))
    session.execute(update(Case).values(deadline_at=NOW + timedelta(hours=1)))  # ties, told apart by risk and by id
    session.commit()
    visit = Visit(client, people.moderator)

    first = visit.get("/queue").text
    further = re.search(r'href="(/queue\?after=\d+)" rel="next"', first)
    assert further is not None
    second = visit.get(further.group(1)).text

    order = select(Case.number).order_by(Case.band, Case.deadline_at, Case.risk.desc(), Case.id)
    assert listed(first) + listed(second) == session.scalars(order).all()
    assert ('rel="next"' in second, "To the front of the queue" in second) == (False, True)


def test_filters_choose_and_combine(client: TestClient, session: Session, people: People) -> None:
    urgent = factories.open_case(session, people, P0, text="one")
    elsewhere = factories.open_case(session, people, platform="Picstream", text="two")
    unread = factories.open_case(session, people, factories.NOT_ASSESSED, text="three")
    old = factories.open_case(session, people, text="four")
    old.received_at = NOW - timedelta(hours=9)
    session.commit()
    factories.accept(session, people, text="four")
    session.commit()
    visit = Visit(client, people.moderator)
    review.claim(session, people.moderator, unread.id, now=NOW)
    session.commit()

    def found(query: str) -> set[int]:
        return set(listed(visit.get(f"/queue?{query}").text))

    every = {urgent.number, elsewhere.number, unread.number, old.number}
    assert found("tier=P0&tier=P2") == {urgent.number, unread.number}
    assert found("platform=picstream") == {elsewhere.number}
    assert found("waiting=8") == {old.number}
    assert found("reports=2") == {old.number}
    assert found("assessed=no") == {unread.number}
    assert found("unseen=yes") == every - {unread.number}
    assert found("mine=yes") == {unread.number}
    assert found("tier=P1&platform=picstream&assessed=yes") == {elsewhere.number}
    assert found("queue=nowhere&tier=P9&waiting=x&reports=3&assessed=maybe&after=999999") == every


def test_rare_cases_are_looked_for_a_window_at_a_time(
    client: TestClient, session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries_queue, "WINDOW", 2)
    rare = [factories.open_case(session, people, text=str(number)) for number in range(5)][-1]
    rare.received_at = NOW - timedelta(hours=2)
    session.commit()
    visit, path, seen = Visit(client, people.moderator), "/queue?waiting=1", []

    for _ in range(3):
        page = visit.get(path).text
        seen.append(listed(page))
        further = re.search(r'href="([^"]+)" rel="next"', page)
        path = further.group(1).replace("&amp;", "&") if further else ""

    assert (seen, path) == ([[], [], [rare.number]], "")


def test_view_belongs_to_one_person(client: TestClient, session: Session, people: People) -> None:
    mine, theirs = Visit(client, people.moderator), Visit(client, people.second_moderator)

    for filters in ({"tier": ["P3"]}, {"tier": ["P0", "P1"], "platform": "chirper"}):
        answer = mine.post("/queue/views", name="Near the river", **filters)
    assert answer.headers["location"] == "/queue?tier=P0&tier=P1&platform=chirper"
    assert 'href="/queue?tier=P0&amp;tier=P1&amp;platform=chirper">Near the river' in mine.get("/queue").text
    assert "Near the river" not in theirs.get("/queue").text

    view = session.scalars(select(SavedView.id)).one()
    assert theirs.post(f"/queue/views/{view}/delete").status_code == 404
    assert mine.post(f"/queue/views/{view}/delete").status_code == 303
    assert session.scalars(select(SavedView.id)).all() == []


def test_view_without_a_name_is_an_error_that_keeps_the_filters(client: TestClient, people: People) -> None:
    answer = Visit(client, people.moderator).post("/queue/views", name=" ", tier=["P3"])

    assert (answer.status_code, 'href="#name"' in answer.text) == (422, True)
    assert re.search(r'value="P3" checked', answer.text)


def test_reader_is_shown_by_pseudonym(client: TestClient, session: Session, people: People) -> None:
    factories.open_case(session, people)
    visit = Visit(client, people.moderator)
    path = visit.take_next()

    page = Visit(client, people.second_moderator).get("/queue").text
    assert (f"{people.moderator.pseudonym} is reading" in page, people.moderator.display_name in page) == (True, False)

    visit.post(f"{path}/judge", **HARMLESS)
    visit.post(f"{path}/decide", **HARMLESS, outcome="no_violation")
    assert listed(Visit(client, people.second_moderator).get("/queue").text) == []
