"""The second reader: needed where the code book says so, blind, somebody else; the database holds all of it."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from annotations import second_reading
from annotations.review import View
from tests import factories, referrals
from tests.people import People
from tests.visiting import THREAT, Visit
from triage import referral
from triage.db import Event, Referral, SecondReading
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, InvalidInput
from triage.domain.gates import PossibleChild
from triage.domain.taxonomy import Imminence, SpeechAct, Target

CHILD: dict[str, Any] = {
    "possible_child": PossibleChild.YES,
    "safeguarding_considered": True,
    "safeguarding_note": "The school's lead was told.",
}
ART = View(("TTL",), SpeechAct.ARTISTIC, Target.PLACE_OR_EVENT, Imminence.NEAR, ("artistic",))


def _now() -> datetime:
    return datetime.now(UTC)


def waiting(session: Session, people: People, **changes: Any) -> Referral:
    """A referral that waits for a second reader, because a child may be concerned."""
    case = factories.open_case(session, people, text="unmistakable words")
    return referrals.refer(session, people, case, **(CHILD | changes))


def _approve(session: Session, people: People, row: Referral) -> Referral:
    return referral.approve(session, people.approver, row.id, now=_now())


@pytest.mark.parametrize(
    "changes",
    [
        CHILD,
        CHILD | {"possible_child": PossibleChild.UNKNOWN},
        {"view": ART, "context_rebuttal": "Names a present target, a time and a place."},
    ],
    ids=["child", "age unknown", "art"],
)
def test_nothing_is_approved_before_a_second_reader_agreed(
    session: Session, people: People, changes: dict[str, Any]
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people), **changes)
    assert row.needs_second_reader

    with pytest.raises(Conflict, match="second reader"):
        _approve(session, people, row)
    session.rollback()
    referrals.read_by_second(session, row, people.second_moderator)

    sent = _approve(session, people, row)
    assert (sent.status, sent.second_reader_id) == ("approved", people.second_moderator.id)
    assert sent.document is not None
    assert sent.document["issuer"]["second_reader"]["pseudonym"] == people.second_moderator.pseudonym


def test_other_referrals_need_none(session: Session, people: People) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))

    assert not row.needs_second_reader
    with pytest.raises(IllegalTransition, match="no second reader"):
        second_reading.read(session, people.second_moderator, row.id)
    assert _approve(session, people, row).document["issuer"]["second_reader"] is None  # type: ignore[index]


def test_reviewer_submitter_and_other_roles_are_no_second_reader(session: Session, people: People) -> None:
    people.analyst.roles = ["analyst", "moderator"]
    session.commit()
    case = factories.open_case(session, people)
    factories.submit_again(session, people.analyst)
    row = referrals.refer(session, people, case, **CHILD)

    for user, words in (
        (people.moderator, "You reviewed this case"),
        (people.analyst, "You submitted this post"),
        (people.approver, "needs the role moderator"),
    ):
        with pytest.raises(Forbidden, match=words):
            second_reading.read(session, user, row.id)
    assert second_reading.waiting(session, people.moderator) == []
    assert second_reading.waiting(session, people.analyst) == []
    assert [found.referral_id for found in second_reading.waiting(session, people.second_moderator)] == [row.id]


def test_second_reader_does_not_approve(session: Session, people: People) -> None:
    people.second_moderator.roles = ["moderator", "approver"]
    session.commit()
    row = waiting(session, people)
    referrals.read_by_second(session, row, people.second_moderator)

    with pytest.raises(Forbidden, match="second reader"):
        referral.approve(session, people.second_moderator, row.id, now=_now())


def test_disagreement_sends_the_case_back_with_the_reasons(session: Session, people: People) -> None:
    row = waiting(session, people)

    referrals.read_by_second(session, row, people.second_moderator, agrees=False)

    assert (row.status, row.note, row.second_reader_id) == ("rejected", "I read it so too.", None)
    kinds = session.scalars(select(Event.kind).where(Event.actor_id == str(people.second_moderator.id))).all()
    assert kinds == ["second_reading.judged", "second_reading.answered", "referral.rejected"]


def test_answer_comes_after_the_own_view_and_with_reasons(session: Session, people: People) -> None:
    row = waiting(session, people)
    given = {"agrees": True, "now": _now()}

    with pytest.raises(Conflict, match="what you see"):
        second_reading.answer(session, people.second_moderator, row.id, reasons="So too.", **given)
    second_reading.judge(session, people.second_moderator, row.id, ART, PossibleChild.NO)
    for reasons in (" ", "He is a known associate."):
        with pytest.raises(InvalidInput):
            second_reading.answer(session, people.second_moderator, row.id, reasons=reasons, **given)


def test_page_holds_nothing_of_the_decision_before_the_own_view(
    client: TestClient, session: Session, people: People
) -> None:
    row = waiting(session, people)
    visit = Visit(client, people.second_moderator)
    path = f"/second-readings/{row.id}"
    assert path in visit.get("/second-readings").text

    page = visit.get(path).text
    assert ("unmistakable words" in page, "Names a time and a place." in page) == (True, False)
    for words in (*referrals.grounds(people).as_dict().values(), "Chirper</h2>", people.moderator.pseudonym):
        if isinstance(words, str) and len(words) > 20:
            assert words not in page

    assert visit.post(f"{path}/judge", codes="TTL").status_code == 422
    assert visit.post(f"{path}/judge", **THREAT, possible_child="yes").status_code == 303
    page = visit.get(path).text
    assert ("Names a time and a place." in page, "A child may be concerned" in page) == (True, True)
    assert visit.post(f"{path}/answer", agrees="yes").status_code == 422
    answer = visit.post(f"{path}/answer", agrees="yes", reasons="I read it so too.")
    assert answer.headers["location"] == "/second-readings?sent=on"
    assert visit.get(path).status_code == 409
    approver = Visit(client, people.approver).get(f"/approvals/{row.id}").text
    assert ("I read it so too." in approver, people.second_moderator.pseudonym in approver) == (True, True)


def test_approver_sees_that_it_waits_and_cannot_approve(client: TestClient, session: Session, people: People) -> None:
    row = waiting(session, people)
    visit = Visit(client, people.approver)

    assert "Waits for a second reader" in visit.get("/approvals").text
    page = visit.get(f"/approvals/{row.id}").text
    assert ("It waits for a second reader" in page, "Approve and send" in page) == (True, False)


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        ("second_reader_is_not_reviewer", "moderator"),
        ("second_reader_is_not_submitter", "second_moderator"),
        ("second_reader_is_not_approver", "approver"),
    ],
)
def test_database_refuses_the_wrong_second_reader(session: Session, people: People, constraint: str, name: str) -> None:
    row = waiting(session, people)
    user_id: uuid.UUID = getattr(people, name).id
    session.add(
        SecondReading(
            referral_id=row.id,
            user_id=user_id,
            codes=["TTL"],
            speech_act="threat",
            target="none",
            imminence="near",
            contexts=[],
            possible_child="no",
            agrees=True,
            reasons="x",
            answered_at=_now(),
        )
    )
    session.flush()
    values: dict[str, object] = {"second_reader_id": user_id, "approver_id": people.approver.id}
    if name == "second_moderator":
        values["submitter_ids"] = [user_id]

    with pytest.raises(IntegrityError, match=constraint):
        session.execute(update(Referral).where(Referral.id == row.id).values(**values))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE referrals SET status = 'approved', approver_id = :approver, document = '{}', document_sha256 = 'x'",
        "UPDATE referrals SET needs_second_reader = false, status = 'approved', approver_id = :approver, "
        "document = '{}', document_sha256 = 'x'",
        "UPDATE referrals SET second_reader_id = :second",
    ],
    ids=["without one", "need denied", "who has not read it"],
)
def test_database_refuses_to_send_without_a_second_reading(session: Session, people: People, statement: str) -> None:
    waiting(session, people)
    ids = {"approver": people.approver.id, "second": people.second_moderator.id}
    used = {name: value for name, value in ids.items() if f":{name}" in statement}

    with pytest.raises(IntegrityError, match=r"sent_only_after_second_reading|has not read it"):
        session.execute(text(statement), used)


@pytest.mark.parametrize("change", ["codes = '{BEN}'", "possible_child = 'no'", "agrees = false"])
def test_database_refuses_to_change_a_reading_that_was_given(session: Session, people: People, change: str) -> None:
    row = waiting(session, people)
    referrals.read_by_second(session, row, people.second_moderator)

    with pytest.raises(DBAPIError, match="stands as it was given"):
        session.execute(text(f"UPDATE second_readings SET {change}"))  # noqa: S608 -- from the list above
