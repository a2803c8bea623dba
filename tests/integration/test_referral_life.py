"""From an open case to a frozen document, and back when somebody says no."""

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from annotations.review import View
from tests import factories, referrals
from tests.people import People
from triage import accounts, audit, cases, referral
from triage.db import Capture, Case, Decision, Event, Judgement, Partner, Post, Referral
from triage.domain import legal
from triage.domain.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound
from triage.domain.lifecycle import CaseEvent, CaseStatus, Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target
from triage.domain.words import CaptureStatus, Operation, ReferralStatus
from triage.formats import json_format


def _now() -> datetime:
    return datetime.now(UTC)


def _events(session: Session, kind: str) -> list[Event]:
    return list(session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id)))


def _waiting(session: Session, people: People) -> Referral:
    return referrals.refer(session, people, factories.open_case(session, people))


def test_decision_to_refer_waits_for_an_approver(session: Session, people: People) -> None:
    case = factories.open_case(session, people)

    row = referrals.refer(session, people, case)

    assert (row.status, row.reviewer_id, row.document) == ("pending_approval", people.moderator.id, None)
    assert case.status == CaseStatus.AWAITING_APPROVAL.value
    assert referral.pending(session) == [row]
    assert [(event.object_id, event.recipient_id) for event in _events(session, "referral.opened")] == [
        (str(row.id), people.partner.id)
    ]


def test_approval_freezes_the_document_and_closes_the_case(session: Session, people: People) -> None:
    row = _waiting(session, people)

    referral.approve(session, people.approver, row.id, now=_now())
    session.commit()
    session.expire_all()

    assert (row.status, row.approver_id) == ("approved", people.approver.id)
    assert row.document is not None
    json_format.validate(row.document)
    assert json_format.sha256(row.document) == row.document_sha256
    assert row.document["issuer"]["officer"]["pseudonym"] == people.moderator.pseudonym
    assert row.document["envelope"]["referral_type"] == "voluntary_tos"
    assert session.get_one(Case, row.case_id).status == CaseStatus.DECIDED.value
    (event,) = _events(session, str(CaseEvent.REFERRAL_APPROVED))
    assert (event.operation, event.recipient_id) == (Operation.DISCLOSURE.value, people.partner.id)
    assert event.data["document_sha256"] == row.document_sha256


def test_what_leaves_is_what_was_approved_whatever_changes_later(session: Session, people: People) -> None:
    row = referrals.approved(session, people)
    actor = accounts.partner_actor(people.partner)
    first = referral.export(session, actor, row, "json")

    session.get_one(Post, session.get_one(Case, row.case_id).post_id).text = "something else by now"
    people.partner.name = "Renamed"
    session.commit()

    assert referral.export(session, actor, row, "json") == first
    assert hashlib.sha256(first.content).hexdigest() == first.sha256 == row.document_sha256
    assert json.loads(first.content)["content"]["text"] == factories.report()["text"]


def test_altered_document_does_not_leave(session: Session, people: People) -> None:
    row = referrals.approved(session, people)
    session.execute(
        text("UPDATE referrals SET document = jsonb_set(document, '{content,url}', '\"https://other.example/\"')")
    )

    for kind in referral.Format:
        with pytest.raises(Conflict, match="not as it was approved"):
            referral.export(session, accounts.partner_actor(people.partner), row, kind)


def test_preview_is_what_approval_would_send_and_is_logged(session: Session, people: People) -> None:
    row, now = _waiting(session, people), _now()

    shown = referral.preview(session, people.approver, row.id, now=now)
    referral.approve(session, people.approver, row.id, now=now)

    assert row.document is not None
    for made in (shown, row.document):
        del made["envelope"]["export_id"], made["integrity"]["payload_sha256"]
    assert shown == row.document
    (event,) = _events(session, "referral.read")
    assert (event.operation, event.actor_id) == (Operation.CONSULTATION.value, str(people.approver.id))


def test_legal_basis_makes_it_voluntary_illegal(session: Session, people: People) -> None:
    row = referrals.approved(session, people, legal_basis=("oapa-1861-s16",))

    assert row.document is not None
    assert row.document["envelope"]["referral_type"] == "voluntary_illegal"
    assert row.document["assessment"]["legal_basis"][0]["act"] == legal.BASES["oapa-1861-s16"].act


def test_captured_evidence_is_named_by_its_hash(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    captured = datetime(2026, 11, 20, 12, tzinfo=UTC)
    session.add(
        Capture(
            post_id=case.post_id,
            url="https://chirper.example/p/1",
            status=CaptureStatus.DONE.value,
            sha256="ab" * 32,
            size_bytes=10,
            captured_at=captured,
            method="http_get",
            tool_version="1",
        )
    )

    row = referrals.approved(session, people, case)

    assert row.document is not None
    assert row.document["content"]["capture"] == {
        "sha256": "ab" * 32,
        "size_bytes": 10,
        "captured_at": "2026-11-20T12:00:00Z",
        "method": "http_get",
        "tool_version": "1",
    }


def test_rejection_sends_the_case_back_to_its_place_in_the_queue(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    row, place = referrals.refer(session, people, case), (case.band, case.deadline_at)

    referral.reject(session, people.approver, row.id, note="Say why a label is not enough", now=_now())
    session.commit()

    assert (row.status, row.note) == ("rejected", "Say why a label is not enough")
    assert (case.status, case.outcome, case.lease_user_id) == (CaseStatus.OPEN.value, None, None)
    assert (case.band, case.deadline_at) == place
    assert referral.pending(session) == []
    again = referrals.refer(session, people, case, by=people.second_moderator)  # what never left is no repetition
    assert again.id != row.id


def test_rejection_needs_a_note(session: Session, people: People) -> None:
    row = _waiting(session, people)

    with pytest.raises(InvalidInput) as refused:
        referral.reject(session, people.approver, row.id, note=" ", now=_now())

    assert refused.value.field == "note"


def test_recalled_referral_can_no_longer_be_downloaded(session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    referral.recall(session, people.approver, row.id, note="The account was misread")
    session.commit()

    with pytest.raises(Conflict, match="recalled"):
        referral.export(session, accounts.partner_actor(people.partner), row, "json")
    assert [found.status for found in referral.for_partner(session, people.partner)] == ["recalled"]
    assert _events(session, "referral.recalled")[0].recipient_id == people.partner.id
    with pytest.raises(IllegalTransition):
        referral.recall(session, people.approver, row.id, note="again")


def test_answered_once(session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    with pytest.raises(IllegalTransition):
        referral.approve(session, people.approver, row.id, now=_now())
    with pytest.raises(IllegalTransition):
        referral.reject(session, people.approver, row.id, note="too late", now=_now())
    with pytest.raises(NotFound):
        referral.approve(session, people.approver, uuid.uuid4(), now=_now())


def _direct(session: Session, people: People, case: Case, **changes: object) -> Decision:
    """A decision row as the review writes it, for what must be refused after the gates."""
    judgement = Judgement(
        case_id=case.id,
        user_id=people.second_moderator.id,
        stage="final",
        codes=["TTL"],
        speech_act="threat",
        target="place_or_event",
        imminence="near",
        contexts=[],
    )
    session.add(judgement)
    session.flush()
    stated = json.loads(json.dumps(referrals.grounds(people, **changes).as_dict()))
    decision = Decision(
        case_id=case.id,
        user_id=people.second_moderator.id,
        judgement_id=judgement.id,
        outcome=Outcome.REFER.value,
        codes=["TTL"],
        reasons="x",
        referral=stated,
        policy_version="1",
        taxonomy_version="1",
    )
    session.add(decision)
    session.flush()
    return decision


def _open(session: Session, people: People, case: Case, **changes: object) -> Referral:
    decision = _direct(session, people, case, **changes)
    return referral.open_referral(session, accounts.actor_of(people.second_moderator), case, decision, submitter_ids=[])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipient_id": "nobody"}, "recipient_id"),
        ({"recipient_id": str(uuid.UUID(int=1))}, "recipient_id"),
        ({"legal_basis": ("no-such-act",)}, "legal_basis"),
        ({"legal_basis": ("cpa-2026-part4-ch1",)}, "legal_basis"),
        ({"statement_of_reasons": "This is illegal."}, "statement_of_reasons"),
        ({"necessity": "He is affiliated."}, "necessity"),
    ],
)
def test_unfit_grounds_are_refused_with_their_field(
    session: Session, people: People, changes: dict[str, object], field: str
) -> None:
    case = factories.open_case(session, people)

    with pytest.raises(InvalidInput) as refused:
        _open(session, people, case, **changes)

    assert refused.value.field == field
    assert referral.pending(session) == []


@pytest.mark.parametrize("change", [{"active": False}, {"kind": "scrutineer"}])
def test_recipient_must_be_active_and_one_that_receives(
    session: Session, people: People, change: dict[str, object]
) -> None:
    case = factories.open_case(session, people)
    for name, value in change.items():
        setattr(people.partner, name, value)
    session.flush()

    with pytest.raises(InvalidInput) as refused:
        _open(session, people, case)

    assert refused.value.field == "recipient_id"


def test_recipient_closed_before_approval_gets_nothing(session: Session, people: People) -> None:
    row = _waiting(session, people)
    session.get_one(Partner, people.partner.id).active = False
    session.commit()

    with pytest.raises(Conflict, match="closed"):
        referral.approve(session, people.approver, row.id, now=_now())


def test_nothing_to_refer_without_text_or_stored_page(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    post = session.get_one(Post, case.post_id)
    post.text = None
    session.flush()

    with pytest.raises(InvalidInput, match="nothing to refer"):
        _open(session, people, case)


def test_reviewer_who_submitted_opens_no_referral(session: Session, people: People) -> None:
    case = factories.open_case(session, people)
    decision = _direct(session, people, case)

    with pytest.raises(Forbidden, match="You submitted this post"):
        referral.open_referral(
            session,
            accounts.actor_of(people.second_moderator),
            case,
            decision,
            submitter_ids=[people.second_moderator.id],
        )


def test_export_is_refused_to_another_partner_even_with_the_row_in_hand(session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    with pytest.raises(NotFound):
        referral.export(session, accounts.partner_actor(people.other_partner), row, "json")


def test_download_inside_the_house_is_logged_and_collects_nothing(session: Session, people: People) -> None:
    row = referrals.approved(session, people)

    referral.export(session, accounts.actor_of(people.approver), row, "json")

    assert row.status == "approved"
    (event,) = _events(session, "referral.exported")
    assert (event.actor_id, event.data["sha256"]) == (str(people.approver.id), row.document_sha256)


def _reopened(session: Session, people: People, row: Referral) -> Case:
    case = cases.locked(session, row.case_id)
    cases.advance(session, audit.system("tests"), case, CaseEvent.REOPENED)
    cases.put_in_place(case, now=_now())
    session.commit()
    return case


def test_same_post_to_the_same_recipient_needs_a_new_fact(session: Session, people: People) -> None:
    first = referrals.approved(session, people)
    case = _reopened(session, people, first)

    with pytest.raises(Conflict, match="nothing new"):
        _open(session, people, case, statement_of_reasons="The same facts in other words.")
    session.rollback()

    second = referrals.refer(
        session, people, case, by=people.second_moderator, platform_policy_clause="Violent speech, clause 4"
    )
    referral.approve(session, people.approver, second.id, now=_now())
    assert second.document is not None
    assert second.document["envelope"]["supersedes_id"] == str(first.id)


def test_new_report_is_a_new_fact(session: Session, people: People) -> None:
    case = _reopened(session, people, referrals.approved(session, people))
    factories.accept(session, people)
    session.commit()

    assert referrals.refer(session, people, case, by=people.second_moderator).status == "pending_approval"


def test_other_recipient_may_be_told_the_same(session: Session, people: People) -> None:
    case = _reopened(session, people, referrals.approved(session, people))

    second = referrals.refer(
        session, people, case, by=people.second_moderator, recipient_id=str(people.other_partner.id)
    )

    assert second.recipient_id == people.other_partner.id


def test_art_leaves_with_its_rebuttal(session: Session, people: People) -> None:
    view = View(("TTL",), SpeechAct.ARTISTIC, Target.PLACE_OR_EVENT, Imminence.NEAR, ("artistic",))
    case = factories.open_case(session, people)

    row = referrals.approved(
        session, people, case, view=view, context_rebuttal="Names a present target, a time and a place."
    )

    assert row.document is not None
    said = row.document["assessment"]
    assert said["artistic_context"] is True
    assert said["context_considered"] == ["artistic"]
    assert said["context_rebuttal"] == "Names a present target, a time and a place."


def test_pending_shows_the_longest_waiting_first(session: Session, people: People) -> None:
    rows = [
        referrals.refer(
            session, people, factories.open_case(session, people, text=f"post {n}"), now=_now() + timedelta(seconds=n)
        )
        for n in range(3)
    ]

    assert [row.id for row in referral.pending(session)] == [row.id for row in rows]
    assert {row.status for row in rows} == {ReferralStatus.PENDING_APPROVAL.value}
