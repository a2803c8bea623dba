"""Nobody submits, reviews and approves the same post: the code says so in words, the database refuses it anyway."""

import threading
import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests import factories, referrals
from tests.people import PASSWORD, People
from triage import accounts, audit, intake, referral
from triage.db import Referral, User
from triage.db.session import transaction
from triage.domain.errors import Conflict, Forbidden, IllegalTransition
from triage.domain.words import Role
from triage.intake import Reporter
from triage.new_report import NewReport

BOTH = (Role.MODERATOR, Role.APPROVER, Role.ANALYST)


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def everything(session: Session, people: People) -> User:
    """Somebody who holds every role."""
    user = accounts.create_user(
        session, audit.system("tests"), username="eve", display_name="Eve", password=PASSWORD, roles=BOTH
    )
    session.commit()
    return user


def _submit(session: Session, user: User) -> None:
    """The same post, from an analyst's form."""
    reporter = Reporter(accounts.actor_of(user), user_id=user.id)
    intake.accept_report(session, reporter, NewReport.model_validate(factories.report()), now=_now())
    session.commit()


def _refused(session: Session, user: User, row: Referral, why: str) -> None:
    """Neither approving, rejecting nor the preview is for this person."""
    for act in (
        lambda: referral.approve(session, user, row.id, now=_now()),
        lambda: referral.reject(session, user, row.id, note="no", now=_now()),
        lambda: referral.preview(session, user, row.id, now=_now()),
    ):
        with pytest.raises(Forbidden, match=why):
            act()
    session.rollback()
    assert session.get_one(Referral, row.id).status == "pending_approval"


def test_needs_the_role(session: Session, people: People) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))

    for user in (people.moderator, people.second_moderator, people.analyst, people.outsider):
        _refused(session, user, row, "needs the role approver")


def test_reviewer_does_not_approve(session: Session, people: People, everything: User) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people), by=everything)

    _refused(session, everything, row, "You reviewed this case")


def test_submitter_does_not_approve(session: Session, people: People, everything: User) -> None:
    case = factories.open_case(session, people)
    _submit(session, everything)
    row = referrals.refer(session, people, case)
    assert row.submitter_ids == [everything.id]

    _refused(session, everything, row, "You submitted this post")


def test_who_submits_after_the_decision_does_not_approve_either(
    session: Session, people: People, everything: User
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))
    _submit(session, everything)

    _refused(session, everything, row, "You submitted this post")
    referral.approve(session, people.approver, row.id, now=_now())
    assert row.submitter_ids == [everything.id]


def test_reviewer_who_submits_after_the_decision_stops_the_approval(
    session: Session, people: People, everything: User
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people), by=everything)
    _submit(session, everything)

    with pytest.raises(Conflict, match="reviewer has submitted"):
        referral.approve(session, people.approver, row.id, now=_now())
    assert referral.reject(session, people.approver, row.id, note="review anew", now=_now()).status == "rejected"


@pytest.mark.parametrize(
    ("constraint", "who"),
    [
        ("reviewer_is_not_approver", {"approver_id": "moderator"}),
        ("approver_is_not_submitter", {"approver_id": "approver", "submitter_ids": "approver"}),
        ("reviewer_is_not_submitter", {"submitter_ids": "moderator"}),
    ],
)
def test_database_refuses_when_the_code_is_bypassed(
    session: Session, people: People, constraint: str, who: dict[str, str]
) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))
    values: dict[str, object] = {}
    for column, name in who.items():
        user_id: uuid.UUID = getattr(people, name).id
        values[column] = [user_id] if column == "submitter_ids" else user_id

    with pytest.raises(IntegrityError, match=constraint):
        session.execute(update(Referral).where(Referral.id == row.id).values(**values))


@pytest.mark.parametrize("status", ["approved", "collected", "recalled"])
def test_database_refuses_to_send_what_nobody_approved(session: Session, people: People, status: str) -> None:
    row = referrals.refer(session, people, factories.open_case(session, people))

    with pytest.raises(IntegrityError, match="sent_only_when_approved"):
        session.execute(update(Referral).where(Referral.id == row.id).values(status=status))


def test_of_two_approvers_at_once_one_is_told_it_is_done(session: Session, people: People, everything: User) -> None:
    row_id = referrals.refer(session, people, factories.open_case(session, people)).id
    told: list[str] = []
    barrier = threading.Barrier(2)

    def approve(user: User) -> None:
        try:
            with transaction() as own:
                barrier.wait(timeout=10)
                referral.approve(own, user, row_id, now=_now())
            told.append("approved")
        except IllegalTransition:
            told.append("done already")

    threads = [threading.Thread(target=approve, args=(user,)) for user in (people.approver, everything)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert sorted(told) == ["approved", "done already"]
