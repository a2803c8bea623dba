"""The case page: the person's own view first, the machine's only then, and nothing typed is lost."""

import re
from datetime import UTC, datetime

from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests import factories
from tests.people import People
from tests.visiting import HARMLESS, THREAT, Visit
from triage.db import Case, Decision, Event, Judgement, Referral
from triage.domain.scores import EvidenceSpan, Scores

TEXT = "We know he gets off at the leisure centre, bring your dipper"
NOTE = "a water bird that nobody need fear"


def telling_scores() -> Scores:
    """Scores that would be seen if they leaked: figures, reasons and notes that occur nowhere else."""
    given = factories.scores(review=0.91, urgent=0.3, DOX=0.87, TTL=0.62, contexts={"sport": 0.74})
    spans = (
        EvidenceSpan(0, 7, "TTL", "model", 0.5),
        EvidenceSpan(TEXT.index("dipper"), len(TEXT), "WDISP", "lexicon", 0.1, NOTE),
    )
    return Scores(given.labels, given.contexts, given.review, given.urgent, spans, None, {"pipeline": "tell-tale"})


def opened(client: TestClient, session: Session, people: People, **changes: str) -> tuple[Visit, str, Case]:
    case = factories.open_case(session, people, telling_scores(), **({"text": TEXT} | changes))
    visit = Visit(client, people.moderator)
    return visit, visit.take_next(), case


def test_nothing_of_the_machine_is_in_the_page_before_the_judgement(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = opened(client, session, people)

    page = visit.get(path).text

    assert TEXT in page
    for tell in (
        "87%",
        "62%",
        "91%",
        "74%",
        "app-evidence",
        NOTE,
        "tell-tale",
        "Reads as",
        "machine-heading",
        "proposed",
    ):
        assert tell not in page, tell


def test_judgement_reveals_probabilities_reasons_and_evidence(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = opened(client, session, people)

    assert visit.post(f"{path}/judge", **HARMLESS).headers["location"] == path
    page = visit.get(path).text

    for told in ("87%", "62%", "Reads as sport: 74%", NOTE, "Only the machine", "Only you"):
        assert told in page, told
    assert re.search(r'<mark class="app-evidence app-evidence--model">We know<sup', page)
    assert re.search(r'<mark class="app-evidence app-evidence--lexicon">dipper<sup', page)


def test_incomplete_judgement_names_every_field_and_keeps_what_was_chosen(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = opened(client, session, people)

    answer = visit.post(f"{path}/judge", codes=["TTL", "DOX"], contexts=["sport"], imminence="near")

    assert answer.status_code == 422
    summary = answer.text.split('class="govuk-error-summary"')[1].split("</ul>")[0]
    assert re.findall(r'href="#(\w+)"', summary) == ["speech_act", "target"]
    for value in ("TTL", "DOX", "sport", "near"):
        assert re.search(rf'value="{value}"[^>]* checked', answer.text), value
    assert session.scalar(select(func.count()).select_from(Judgement)) == 0


def test_gate_is_shown_beside_its_field_and_the_text_stays(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = opened(client, session, people)
    visit.post(f"{path}/judge", **THREAT)

    answer = visit.post(f"{path}/decide", **THREAT, outcome="escalate", reasons="")
    assert (answer.status_code, 'href="#reasons"' in answer.text) == (422, True)

    typed = {
        "outcome": "refer",
        "reasons": "A carefully written reason <b>",
        "recipient_id": str(people.partner.id),
        "statement_of_reasons": "It names a place",
        "causal_path": "He can be found",
        "facts": "It gives a place",
        "likelihood": "likely",
        "proportionality": "One post",
        "necessity": "It is near",
        "least_intrusive": "Nothing less",
        "safeguarding_considered": "yes",
        "safeguarding_note": "Nobody named is at school, as far as the post says",
    }
    answer = visit.post(f"{path}/decide", **THREAT, **typed)
    assert (answer.status_code, 'href="#platform_policy_clause"' in answer.text) == (422, True)
    assert "A carefully written reason &lt;b&gt;" in answer.text
    assert "It names a place" in answer.text
    assert session.scalar(select(func.count()).select_from(Decision)) == 0

    answer = visit.post(f"{path}/decide", **THREAT, **typed, platform_policy_clause="Violent threats")
    assert answer.status_code == 303
    assert session.scalars(select(Referral.reviewer_id)).all() == [people.moderator.id]


def test_missing_grounds_are_named_all_at_once(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = opened(client, session, people)
    visit.post(f"{path}/judge", **THREAT)

    answer = visit.post(f"{path}/decide", **THREAT, outcome="refer", reasons="A threat")

    summary = answer.text.split('class="govuk-error-summary"')[1].split("</ul>")[0]
    assert re.findall(r'href="#(\w+)"', summary) == [
        "safeguarding_considered",
        "safeguarding_note",
        "recipient_id",
        "facts",
        "statement_of_reasons",
        "causal_path",
        "likelihood",
        "necessity",
        "proportionality",
        "least_intrusive",
    ]


def test_all_outcomes_are_offered_alike(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = opened(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)

    page = visit.get(path).text

    radios = re.findall(r'<input class="govuk-radios__input"[^>]*name="outcome"[^>]*value="(\w+)"([^>]*)>', page)
    assert {value for value, _ in radios} == {
        "no_violation",
        "refer",
        "safeguard",
        "escalate",
        "second_opinion",
        "route_out",
        "return",
    }
    assert not any("checked" in rest for _, rest in radios)


def test_decision_ends_at_a_page_without_the_text(client: TestClient, session: Session, people: People) -> None:
    visit, path, case = opened(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)

    answer = visit.post(f"{path}/decide", **HARMLESS, outcome="no_violation")
    page = visit.get(answer.headers["location"]).text

    assert f"Case {case.number}: no violation" in page
    assert (TEXT in page, "Review next" in page) == (False, True)


def test_double_submit_is_one_decision(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = opened(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)

    answers = [visit.post(f"{path}/decide", **HARMLESS, outcome="no_violation").status_code for _ in range(2)]

    assert answers == [303, 303]
    assert session.scalar(select(func.count()).select_from(Decision)) == 1


def test_case_of_another_shows_no_text_and_takes_no_answer(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = opened(client, session, people)
    visit.post(f"{path}/judge", **HARMLESS)
    other = Visit(client, people.second_moderator)

    page = other.get(path)
    answer = other.post(f"{path}/decide", **HARMLESS, outcome="no_violation")

    assert ("Somebody else is reading" in page.text, TEXT in page.text) == (True, False)
    assert answer.status_code == 409
    assert session.scalar(select(func.count()).select_from(Decision)) == 0


def test_every_showing_of_the_text_is_logged(client: TestClient, session: Session, people: People) -> None:
    visit, path, case = opened(client, session, people)
    visit.get(path)
    visit.post(f"{path}/judge")  # refused; shows the text again
    visit.get("/queue")

    readings = session.scalars(select(Event).where(Event.kind == "case.read")).all()
    assert [(event.operation, event.case_id, event.actor_id) for event in readings] == [
        ("consultation", case.id, str(people.moderator.id))
    ] * 2


def test_hostile_text_stays_text(client: TestClient, session: Session, people: People) -> None:
    hostile = "<script>alert(1)</script> \u202eback\u202c to\u200bgether {{ 7*7 }} https://chirper.example/x"
    visit, path, _ = opened(
        client,
        session,
        people,
        text=hostile,
        url="https://chirper.example/u/1",
        author_handle="@nightbus",
        reason="<img src=x>",
    )
    page = visit.get(path).text

    assert ("<script>alert" in page, "<img src=x" in page, "\u202e" in page, "\u200b" in page) == (False,) * 4
    assert ("[right-to-left override]" in page, "[zero-width space]" in page, "{{ 7*7 }}" in page) == (True,) * 3
    assert ("hxxps://chirper[.]example/u/1" in page, 'href="https://chirper' in page) == (True, False)
    assert "@nightbus" in page.split("Author")[1].split("</div>")[0]  # as observed; those in the text are masked
    assert '<bdi dir="auto">' in page


def test_case_that_no_machine_read_says_so(client: TestClient, session: Session, people: People) -> None:
    factories.open_case(session, people, factories.NOT_ASSESSED)
    visit = Visit(client, people.moderator)
    path = visit.take_next()

    assert "not the same as clean" in visit.get(path).text
    visit.post(f"{path}/judge", **HARMLESS)
    assert "the machine has no opinion" in visit.get(path).text


def test_reporter_who_fears_for_a_life_is_heard_before_the_judgement(
    client: TestClient, session: Session, people: People
) -> None:
    factories.open_case(session, people, urgent=True)
    visit = Visit(client, people.moderator)

    assert "Believes a life is in danger now" in visit.get(visit.take_next()).text


def test_second_reviewer_sees_the_first_opinion_only_after_judging(
    client: TestClient, session: Session, people: People
) -> None:
    visit, path, _ = opened(client, session, people)
    visit.post(f"{path}/judge", **THREAT)
    visit.post(f"{path}/decide", **THREAT, outcome="second_opinion", reasons="This slang is new to me")
    second = Visit(client, people.second_moderator)
    assert second.take_next() == path

    assert "This slang is new to me" not in second.get(path).text
    second.post(f"{path}/judge", **HARMLESS)
    assert "This slang is new to me" in second.get(path).text


def test_queue_that_is_empty_for_me_says_so(client: TestClient, session: Session, people: People) -> None:
    visit = Visit(client, people.moderator)

    assert visit.take_next() == "/queue?empty=1"
    assert "Nothing waits for you" in visit.get("/queue?empty=1").text


def test_pass_puts_the_case_back_for_others(client: TestClient, session: Session, people: People) -> None:
    visit, path, _ = opened(client, session, people)

    assert visit.post(f"{path}/pass").headers["location"] == "/queue"
    assert visit.take_next() == "/queue?empty=1"
    assert Visit(client, people.second_moderator).take_next() == path


def test_keeping_the_case_longer_moves_the_lease(client: TestClient, session: Session, people: People) -> None:
    visit, path, case = opened(client, session, people)
    session.refresh(case)
    case.lease_until = datetime.now(UTC)
    session.commit()

    visit.post(f"{path}/extend")

    session.refresh(case)
    assert case.lease_until > datetime.now(UTC)
