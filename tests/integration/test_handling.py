"""On hold, given to somebody, brought before an approver: who gets the case then, and who reads what was written."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from annotations import handling, review
from tests import factories
from tests.people import People
from tests.visiting import HARMLESS, Visit
from triage import accounts, intake
from triage.db import Case, CaseNote, Event
from triage.domain.errors import Conflict, Forbidden, InvalidInput, LeaseLost
from triage.domain.handling import KEPT_FOR, HoldReason
from triage.intake import Reporter
from triage.new_report import NewReport
from workers import doctor

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def taken(session: Session, people: People, **changes: str) -> Case:
    case = factories.open_case(session, people, now=NOW, **changes)
    review.claim(session, people.moderator, case.id, now=NOW)
    session.commit()
    return case


def held(session: Session, people: People) -> Case:
    case = taken(session, people)
    reason = HoldReason.REPORTER
    handling.hold(session, people.moderator, case.id, reason=reason, note="asked them", until=NOW + HOUR, now=NOW)
    session.commit()
    return case


def kinds(session: Session, case: Case) -> list[str]:
    query = select(Event.kind).where(Event.case_id == case.id).order_by(Event.id)
    return [kind for kind in session.scalars(query) if kind not in ("case.reported", "case.assessed")]


def test_case_on_hold_is_offered_to_nobody_and_then_to_everybody(session: Session, people: People) -> None:
    case = held(session, people)

    for person in (people.moderator, people.second_moderator):
        assert review.claim_next(session, person, now=NOW + HOUR / 2) is None
    with pytest.raises(Conflict, match="on hold until"):
        review.claim(session, people.second_moderator, case.id, now=NOW)
    assert review.claim_next(session, people.second_moderator, now=NOW + 2 * HOUR) is case

    assert kinds(session, case) == ["case.claimed", "case.held", "case.claimed"]
    session.commit()
    assert [found.name for found in doctor.examine(session) if found.ok is False and "match" in found.name] == []


def test_who_put_it_on_hold_or_an_approver_ends_it(session: Session, people: People) -> None:
    case = held(session, people)

    with pytest.raises(Forbidden):
        handling.resume(session, people.second_moderator, case.id, now=NOW)
    handling.resume(session, people.approver, case.id, now=NOW)

    assert review.claim_next(session, people.second_moderator, now=NOW) is case


def test_threat_to_life_waits_for_nothing(session: Session, people: People) -> None:
    case = factories.open_case(session, people, factories.scores(review=0.9, urgent=0.9, TTL=0.95), now=NOW)
    review.claim(session, people.moderator, case.id, now=NOW)

    with pytest.raises(InvalidInput, match="never put on hold"):
        handling.hold(
            session,
            people.moderator,
            case.id,
            reason=HoldReason.ADVICE,
            note="",
            until=NOW + timedelta(minutes=5),
            now=NOW,
        )


def test_assigned_case_is_kept_for_one_person_and_not_for_ever(session: Session, people: People) -> None:
    case = taken(session, people)
    other = people.second_moderator
    handling.assign(session, people.moderator, case.id, to=other.id, note="you know the area", now=NOW)
    session.commit()

    assert review.claim_next(session, people.moderator, now=NOW) is None
    with pytest.raises(Conflict, match="kept for somebody else"):
        review.claim(session, people.moderator, case.id, now=NOW)
    assert review.claim_next(session, other, now=NOW) is case
    review.release(session, other, case.id, now=NOW)
    assert case.assigned_user_id is None

    handling.assign(session, people.approver, case.id, to=other.id, note="", now=NOW)
    assert review.claim_next(session, people.moderator, now=NOW + KEPT_FOR + HOUR) is case


def test_case_is_given_to_nobody_who_may_not_review_it(session: Session, people: People) -> None:
    case = taken(session, people)
    people.analyst.roles = ["analyst", "moderator"]
    session.commit()
    reporter = Reporter(accounts.actor_of(people.analyst), user_id=people.analyst.id)
    intake.accept_report(session, reporter, NewReport.model_validate(factories.report()), now=NOW)

    for somebody in (people.approver, people.analyst):
        with pytest.raises(InvalidInput) as refused:
            handling.assign(session, people.moderator, case.id, to=somebody.id, note="", now=NOW)
        assert refused.value.field == "to"
    with pytest.raises(LeaseLost):
        handling.assign(session, people.second_moderator, case.id, to=people.moderator.id, note="", now=NOW)


def test_question_goes_to_an_approver_and_the_case_comes_back_with_the_answer(
    client: TestClient, session: Session, people: People
) -> None:
    case = taken(session, people)
    asker, approver = Visit(client, people.moderator), Visit(client, people.approver)

    assert asker.post(f"/cases/{case.id}/escalate", question=" ").status_code == 422
    assert asker.post(f"/cases/{case.id}/escalate", question="Is the ferry in scope?").status_code == 303
    page = approver.get("/questions").text
    assert ("Is the ferry in scope?" in page, people.moderator.pseudonym in page) == (True, True)
    note = session.scalars(select(CaseNote.id)).one()
    assert approver.post(f"/questions/{note}/answer", answer="").status_code == 422
    assert approver.post(f"/questions/{note}/answer", answer="It is").status_code == 303
    assert approver.post(f"/questions/{note}/answer", answer="again").status_code == 409

    session.expire_all()
    assert case.assigned_user_id == people.moderator.id
    assert "It is" in asker.get(f"/cases/{case.id}/move").text
    assert asker.take_next() == f"/cases/{case.id}"
    assert kinds(session, case) == ["case.claimed", "case.escalated", "case.answered", "case.claimed"]


def test_nobody_answers_their_own_question(session: Session, people: People) -> None:
    people.moderator.roles = ["moderator", "approver"]
    case = taken(session, people)
    asked = handling.escalate(session, people.moderator, case.id, note="May I?", now=NOW)

    with pytest.raises(Forbidden):
        handling.answer(session, people.moderator, asked.id, text="You may", now=NOW)


def test_note_is_read_by_others_once_they_have_judged(client: TestClient, session: Session, people: People) -> None:
    case = held(session, people)
    handling.resume(session, people.moderator, case.id, now=NOW)
    session.commit()
    other, path = Visit(client, people.second_moderator), f"/cases/{case.id}"
    other.post(f"{path}/claim")

    before = other.get(f"{path}/move").text
    other.post(f"{path}/judge", **HARMLESS)
    after = other.get(f"{path}/move").text

    assert ("asked them" in before, "put it on hold" in before, "asked them" in after) == (False, True, True)


def test_form_comes_back_with_what_was_typed(client: TestClient, session: Session, people: People) -> None:
    case = taken(session, people)
    visit = Visit(client, people.moderator)

    for form, field in (({"until": "60"}, "reason"), ({"reason": "other", "until": "60"}, "note")):
        answer = visit.post(f"/cases/{case.id}/hold", **form)
        assert (answer.status_code, f'href="#{field}"' in answer.text) == (422, True)
        assert 'value="60" selected' in answer.text
    assert visit.post(f"/cases/{case.id}/hold", reason="capture", until="60").headers["location"] == "/queue"
    assert "On hold until" in visit.get("/queue").text
