"""What a reader does at the desk beside deciding: reasons, readings of terms, handles, drafts, reports."""

import re
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from annotations import copies, drafts, source_records
from tests import factories
from tests.people import People
from tests.visiting import HARMLESS, THREAT, Visit
from triage.db import Annotation, Case, Draft, Event, Gloss, PostScores
from triage.db.session import engine
from triage.domain.scores import EvidenceSpan, Scores

TEXT = "Ask @nightbus, we know he gets off at the leisure centre, bring your dipper"
NOTE = "can mean a knife; also: a water bird"


def scores() -> Scores:
    given = factories.scores(review=0.91, TTL=0.62)
    at = TEXT.index("dipper")
    spans = (
        EvidenceSpan(15, 22, "TTL", "model", 0.5),
        EvidenceSpan(at, at + 6, "WDISP", "lexicon", 0.1, NOTE, "london", "high"),
    )
    return Scores(given.labels, given.contexts, given.review, given.urgent, spans, None, {})


def at_the_desk(client: TestClient, session: Session, people: People, **changes: object) -> tuple[Visit, str, Case]:
    case = factories.open_case(session, people, scores(), **({"text": TEXT} | changes))
    visit = Visit(client, people.moderator)
    return visit, visit.take_next(), case


def verdict_forms(page: str) -> list[tuple[str, str]]:
    """(scores id, reason) of each reason on the page."""
    return re.findall(r'name="scores_id" value="([^"]+)">\s*<input type="hidden" name="reason" value="([^"]+)"', page)


def test_reasons_are_confirmed_and_rejected_one_by_one(client: TestClient, session: Session, people: People) -> None:
    visit, path, case = at_the_desk(client, session, people)
    assert verdict_forms(visit.get(path).text) == []
    visit.post(f"{path}/judge", **HARMLESS)
    page = visit.get(path).text
    assert all(told in page for told in (NOTE, "Region: London", "The harmless sense is the common one"))

    (scores_id, first), (_, second) = verdict_forms(page)
    visit.post(f"{path}/reason", scores_id=scores_id, reason=first, verdict="confirmed")
    visit.post(f"{path}/reason", scores_id=scores_id, reason=second, verdict="confirmed")
    visit.post(f"{path}/reason", scores_id=scores_id, reason=second, verdict="rejected")

    rows = session.execute(select(Annotation.source, Annotation.verdict).order_by(Annotation.span_start)).all()
    assert [tuple(row) for row in rows] == [("model", "confirmed"), ("lexicon", "rejected")]
    assert session.scalars(select(Event.kind).where(Event.object_type == "annotation").order_by(Event.id)).all() == [
        "reason.confirmed",
        "reason.confirmed",
        "reason.rejected",
    ]
    pressed = re.findall(r'id="reason-(\d-\w+)" aria-pressed="true"', visit.get(path).text)
    assert pressed == ["1-confirmed", "2-rejected"]
    session.refresh(case)
    assert case.status == "open"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"verdict": "perhaps"}, 422),
        ({"reason": "0-1-TTL-model"}, 404),
        ({"reason": "x"}, 422),
        ({"scores_id": "x"}, 404),
    ],
)
def test_verdict_on_what_the_machine_did_not_say_is_refused(
    client: TestClient, session: Session, people: People, change: dict[str, str], status: int
) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)
    [(scores_id, reason), _] = verdict_forms(visit.get(path).text)

    answer = visit.post(
        f"{path}/reason", **({"scores_id": scores_id, "reason": reason, "verdict": "confirmed"} | change)
    )

    assert answer.status_code == status
    assert session.scalars(select(Annotation.id)).all() == []


def test_verdict_before_the_judgement_is_refused(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    scores_id = str(session.scalar(select(PostScores.id)))

    answer = visit.post(f"{path}/reason", scores_id=scores_id, reason="15-22-TTL-model", verdict="confirmed")

    assert answer.status_code == 409


def test_readings_stand_side_by_side_for_whoever_has_judged(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)
    given = {"term": "DIPPER", "reading": "a water bird", "alternatives": "a knife\n\na ladle", "confidence": "likely"}
    assert visit.post(f"{path}/reading", **given).status_code == 303
    visit.post(f"{path}/decide", **HARMLESS, outcome="second_opinion", reasons="I am not sure of the word")

    second = Visit(client, people.second_moderator)
    assert second.take_next() == path
    assert "a water bird" not in second.get(path).text
    second.post(f"{path}/judge", **HARMLESS)
    assert people.moderator.pseudonym in second.get(path).text
    [first] = session.scalars(select(Gloss)).all()
    assert first.alternatives == ["a knife", "a ladle"]

    answer = second.post(f"{path}/reading", term="dipper", reading="a big spoon", disputes=str(first.id))
    page = second.get(path).text

    assert answer.status_code == 303
    assert all(told in page for told in ("a water bird", "a big spoon", "Disputed by another reader", "Disagrees with"))
    assert len(session.scalars(select(Event.id).where(Event.kind == "gloss.added")).all()) == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"term": "umbrella"}, "term"),
        ({"reading": " "}, "reading"),
        ({"reading": "x" * 301}, "reading"),
        ({"alternatives": "\n".join("abcdef")}, "alternatives"),
        ({"disputes": "019a0000-0000-7000-8000-000000000000"}, "disputes"),
    ],
)
def test_reading_that_cannot_be_kept_names_its_field(
    client: TestClient, session: Session, people: People, change: dict[str, str], field: str
) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)

    answer = visit.post(f"{path}/reading", **({"term": "dipper", "reading": "a water bird"} | change))

    assert (answer.status_code, f'href="#{field}"' in answer.text) == (422, True)
    assert session.scalars(select(Gloss.id)).all() == []


def test_unknown_dialect_passes_the_case_on_and_tells_the_next_reader(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    visit.post(f"{path}/pass", reason="dialect")

    assert visit.post("/queue/next").headers["location"] == "/queue?empty=1"
    second = Visit(client, people.second_moderator)
    page = second.get(second.take_next()).text
    assert "did not know its dialect" in page
    assert people.moderator.pseudonym not in page


def test_handles_in_the_text_are_masked_until_asked_for(client: TestClient, session: Session, people: People) -> None:
    visit, path, case = at_the_desk(client, session, people, author_handle="@owl")
    page = visit.get(path).text
    assert ("@nightbus" in page, "@n\u2022\u2022" in page, "@owl" in page) == (False, True, True)

    visit.post(f"{path}/handles")

    assert "@nightbus" in visit.get(path).text
    shown = session.scalars(select(Event).where(Event.kind == "case.handles_shown")).one()
    assert (shown.operation, shown.case_id, shown.actor_id) == ("consultation", case.id, str(people.moderator.id))
    visit.post(f"{path}/release")
    second = Visit(client, people.second_moderator)
    assert "@nightbus" not in second.get(second.take_next()).text


def test_draft_comes_back_and_goes_with_the_judgement_and_the_decision(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    answer = visit.post(f"{path}/draft", stage="first", codes=["TTL"], contexts=["sport"])
    assert answer.headers["location"] == path
    page = visit.get(path).text
    assert re.search(r'value="TTL"[^>]* checked', page)
    assert re.search(r'value="sport"[^>]* checked', page)

    visit.post(f"{path}/judge", **THREAT)
    assert session.scalars(select(Draft.stage)).all() == []
    assert visit.post(f"{path}/draft", stage="first", codes=["BEN"]).status_code == 303  # came late: of a form sent
    assert session.scalars(select(Draft.stage)).all() == []
    visit.post(f"{path}/draft", stage="final", codes=["TTL"], reasons="half a <sentence")
    assert "half a &lt;sentence" in visit.get(path).text

    visit.post(f"{path}/decide", **THREAT, outcome="route_out", reasons="For another owner")
    assert session.scalars(select(Draft.stage)).all() == []
    assert session.scalars(select(Event.id).where(Event.kind.contains("draft"))).all() == []


def test_draft_of_a_page_that_saves_by_itself(client: TestClient, session: Session, people: People) -> None:
    visit, path, case = at_the_desk(client, session, people)

    answer = visit.client.post(
        f"{path}/draft",
        data={"stage": "first", "codes": "TTL"},
        headers={"HX-Request": "true", "X-CSRF-Token": visit.token},
    )
    assert (answer.status_code, "Draft saved" in answer.text) == (200, True)

    visit.post(f"{path}/release")
    answer = visit.client.post(f"{path}/draft", headers={"HX-Request": "true", "X-CSRF-Token": visit.token})
    assert (answer.status_code, answer.text) == (204, "")  # the case went meanwhile
    assert visit.post(f"{path}/draft").status_code == 409
    case = session.get_one(Case, case.id, populate_existing=True)
    case.status = "decided"
    session.flush()
    assert drafts.forget_stray(session) == 1


def test_draft_has_an_end(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = at_the_desk(client, session, people)

    assert visit.post(f"{path}/draft", stage="first", reasons="x" * (drafts.LARGEST + 1)).status_code == 413


def test_reports_are_read_a_page_at_a_time_in_ten_queries(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = at_the_desk(client, session, people, author_handle="@owl")
    few = statements(visit, path)
    for number in range(45):
        factories.accept(session, people, text=TEXT, author_handle="@owl", reason=f"reason-{number:02}")
    factories.open_case(session, people, text=TEXT + " now")
    session.commit()
    copies.remember(session)
    session.commit()
    assert statements(visit, path) == few <= 10
    visit.post(f"{path}/judge", **HARMLESS)

    assert statements(visit, path) <= 10
    page = visit.get(path).text
    assert ("page 1 of 3" in page, "reason-00" in page, "reason-44" in page) == (True, True, False)
    last = visit.get(f"{path}?reports=3").text
    assert ("reason-00" in last, "reason-44" in last) == (False, True)


def statements(visit: Visit, path: str) -> int:
    """How many statements the page takes."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine(), "before_cursor_execute", note)
    assert visit.get(path).status_code == 200
    event.remove(engine(), "before_cursor_execute", note)
    return len(seen)


def test_how_reliable_a_source_was_is_told_after_the_judgement(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = at_the_desk(client, session, people)
    for number in range(6):
        decided = factories.open_case(session, people, text=f"an earlier post {number}")
        decided.status, decided.outcome = "decided", "no_violation" if number else "safeguard"
    session.commit()
    assert source_records.recount(session, now=datetime.now(UTC)) == 1
    session.commit()
    told = "Of 6 cases that it reported and people decided, 1 were upheld"

    assert told not in visit.get(path).text
    visit.post(f"{path}/judge", **HARMLESS)
    assert told in visit.get(path).text
