"""The second person's pages, and the analyst's."""

import json
import re
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from annotations.pages.approval import CHECKLIST
from tests import factories, referrals
from tests.people import People
from tests.visiting import HARMLESS, Visit
from triage import assessment, audit, cases
from triage.db import Case, Event, Referral, Report
from triage.domain.scores import NotAssessed

TICKED = dict.fromkeys(CHECKLIST, "yes")
SUBMISSION = {
    "url": "https://www.reddit.com/r/invented/1",
    "purpose": "prevention_of_serious_violence",
    "acquisition_mode": "police_open_source",
    "force_code": "99",
    "operation_ref": "OP-1",
    "necessity": "It names a meeting this evening",
    "proportionality": "One public page and nothing else",
    "collateral_intrusion": "Replies by others are not kept",
}


def test_approver_reads_the_case_beside_the_decision_and_approves(
    client: TestClient, session: Session, people: People
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people, text="unmistakable words"))
    visit = Visit(client, people.approver)

    page = visit.get(f"/approvals/{row.id}").text
    assert ("unmistakable words" in page, "Names a time and a place." in page) == (True, True)
    readings = session.scalars(select(Event).where(Event.kind == "referral.read")).all()
    assert [(event.operation, event.actor_id) for event in readings] == [("consultation", str(people.approver.id))]

    assert visit.post(f"/approvals/{row.id}/approve").status_code == 422
    assert visit.post(f"/approvals/{row.id}/approve", **TICKED).headers["location"] == "/referrals"
    session.refresh(row)
    assert (row.status, row.approver_id) == ("approved", people.approver.id)
    assert visit.get(f"/approvals/{row.id}").status_code == 404


def test_sending_back_needs_a_reason_and_reopens_the_case(client: TestClient, session: Session, people: People) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))
    visit = Visit(client, people.approver)

    answer = visit.post(f"/approvals/{row.id}/reject", note=" ")
    assert (answer.status_code, 'href="#note"' in answer.text) == (422, True)
    visit.post(f"/approvals/{row.id}/reject", note="The place is a football ground")

    session.refresh(row)
    assert (row.status, row.note) == ("rejected", "The place is a football ground")
    assert Visit(client, people.second_moderator).take_next() == f"/cases/{row.case_id}"


def test_rejecting_for_good_closes_the_case_without_a_referral(
    client: TestClient, session: Session, people: People
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))
    visit = Visit(client, people.approver)

    assert visit.post(f"/approvals/{row.id}/refuse", note="").status_code == 422
    assert visit.post(f"/approvals/{row.id}/refuse", note="Lawful satire").headers["location"] == "/approvals"

    session.refresh(row)
    case = session.get_one(Case, row.case_id)
    assert (row.status, row.note, row.approver_id) == ("refused", "Lawful satire", people.approver.id)
    assert (case.status, case.outcome, row.document) == ("decided", None, None)
    events = session.scalars(select(Event).where(Event.case_id == case.id).order_by(Event.id)).all()
    assert (events[-1].kind, cases.folded(events)) == ("referral.refused", cases.state_of(case))


def test_recall_needs_a_reason_and_stops_the_download(client: TestClient, session: Session, people: People) -> None:
    row = referrals.approved(session, people)
    visit = Visit(client, people.approver)
    path = f"/referrals/{row.id}/recall"
    assert path in visit.get("/referrals").text
    assert visit.get(path).status_code == 200

    assert visit.post(path, note="").status_code == 422
    assert visit.post(path, note="Not the right post").headers["location"] == "/referrals"

    session.refresh(row)
    assert (row.status, row.note) == ("recalled", "Not the right post")
    assert visit.get(f"/referrals/{row.id}/export?format=json").status_code == 409
    assert visit.get(path).status_code == 404


def test_nothing_is_sent_before_the_whole_checklist_is_ticked(
    client: TestClient, session: Session, people: People
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))
    visit = Visit(client, people.approver)

    for left_out in TICKED:
        ticked = {name: value for name, value in TICKED.items() if name != left_out}
        answer = visit.post(f"/approvals/{row.id}/approve", **ticked)
        assert (answer.status_code, f'href="#{left_out}"' in answer.text) == (422, True)
    session.refresh(row)
    assert row.status == "pending_approval"


def test_reviewer_cannot_approve_what_they_reviewed(client: TestClient, session: Session, people: People) -> None:
    people.moderator.roles = ["approver", "moderator"]
    session.commit()
    row = referrals.refer(session, people, factories.open_case(session, people))
    visit = Visit(client, people.moderator)

    assert "Yours: for somebody else" in visit.get("/approvals").text
    assert visit.get(f"/approvals/{row.id}").status_code == 403
    assert visit.post(f"/approvals/{row.id}/approve", **TICKED).status_code == 403
    assert session.scalars(select(Referral.status)).all() == ["pending_approval"]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_approved_referral_can_be_downloaded_by_approvers_only(
    client: TestClient, session: Session, people: People, kind: str
) -> None:
    row = referrals.approved(session, people)
    path = f"/referrals/{row.id}/export?format={kind}"
    visit = Visit(client, people.approver)

    assert path.replace("&", "&amp;") in visit.get("/referrals").text
    answer = visit.get(path)
    assert answer.headers["content-disposition"] == f'attachment; filename="referral-{row.number}.{kind}"'
    if kind == "json":
        assert json.loads(answer.content) == row.document
    disclosed = session.scalars(select(Event).where(Event.kind == "referral.exported")).all()
    assert [(event.operation, event.actor_id) for event in disclosed] == [("disclosure", str(people.approver.id))]
    assert Visit(client, people.moderator).get(path).status_code == 403


def test_analyst_submits_and_sees_what_became_of_it(client: TestClient, session: Session, people: People) -> None:
    visit = Visit(client, people.analyst)

    answer = visit.post("/submissions/new", **SUBMISSION)
    page = visit.get(answer.headers["location"]).text

    report = session.scalars(select(Report)).one()
    assert (report.submitted_by, report.operation_ref) == (people.analyst.id, "OP-1")
    assert ("hxxps://www[.]reddit[.]com/r/invented/1" in page, "Waiting" in page) == (True, True)


def test_returned_submission_says_what_is_missing(client: TestClient, session: Session, people: People) -> None:
    visit = Visit(client, people.analyst)
    visit.post("/submissions/new", **SUBMISSION)
    case = session.scalars(select(Case)).one()
    assessment.open_without_scores(
        session, audit.system("tests"), [case.post_id], NotAssessed.NO_TEXT, now=datetime.now(UTC)
    )
    session.commit()
    reviewer = Visit(client, people.moderator)
    path = reviewer.take_next()
    assert path == f"/cases/{case.id}"
    reviewer.post(f"{path}/judge", **HARMLESS)
    assert "What is missing" not in visit.get("/submissions").text

    answer = reviewer.post(f"{path}/decide", **HARMLESS, outcome="return", reasons="Which of the two replies <b>")

    assert answer.status_code == 303
    page = visit.get("/submissions").text
    assert ("Returned to you" in page, "Which of the two replies &lt;b&gt;" in page) == (True, True)


def test_incomplete_submission_names_its_fields_and_keeps_the_rest(
    client: TestClient, session: Session, people: People
) -> None:
    visit = Visit(client, people.analyst)

    answer = visit.post("/submissions/new", **(SUBMISSION | {"necessity": "", "purpose": ""}))

    assert answer.status_code == 422
    assert re.findall(r'<a href="#(\w+)"', answer.text) == ["purpose", "necessity"]
    assert "One public page and nothing else" in answer.text


def test_site_that_is_not_listed_is_refused_at_its_field(client: TestClient, session: Session, people: People) -> None:
    answer = Visit(client, people.analyst).post("/submissions/new", **(SUBMISSION | {"url": "https://other.example/1"}))

    assert (answer.status_code, 'href="#url"' in answer.text) == (422, True)
    assert session.scalars(select(Report)).all() == []


def test_analyst_sees_only_their_own(client: TestClient, session: Session, people: People) -> None:
    Visit(client, people.analyst).post("/submissions/new", **SUBMISSION)
    people.outsider.roles = ["analyst"]
    session.commit()

    assert "reddit" not in Visit(client, people.outsider).get("/submissions").text
