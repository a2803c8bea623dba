"""Plain functions that make what a test needs, through the real use cases, with readable defaults."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.people import People
from triage import accounts, assessment, audit, intake
from triage.db import Case, User
from triage.domain.scores import NotAssessed, Scores
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES
from triage.domain.words import Lane
from triage.intake import Accepted, Reporter
from triage.new_report import NewReport


def report(**changes: Any) -> dict[str, Any]:
    """The JSON of a good report."""
    return {
        "platform": "chirper",
        "text": "See you at the bus stop at half three, bring your friends, you will need them",
        "purpose": "prevention_of_serious_violence",
        "acquisition_mode": "user_report",
    } | changes


def scores(
    *, review: float = 0.02, urgent: float = 0.0, contexts: dict[str, float] | None = None, **codes: float
) -> Scores:
    """Scores with every code and context near nothing, but for those given."""
    return Scores(
        labels=dict.fromkeys(SCORED_CODES, 0.01) | codes,
        contexts=dict.fromkeys(CONTEXTS, 0.01) | (contexts or {}),
        review=review,
        urgent=urgent,
        versions={"pipeline": "test"},
    )


def accept(session: Session, people: People, **changes: Any) -> Accepted:
    """A report accepted from the first partner (not committed)."""
    reporter = Reporter(accounts.partner_actor(people.partner), partner=people.partner)
    return intake.accept_report(session, reporter, NewReport.model_validate(report(**changes)), now=datetime.now(UTC))


def submit_again(session: Session, user: User, **changes: Any) -> None:
    """The same post from an analyst's form (committed)."""
    reporter = Reporter(accounts.actor_of(user), user_id=user.id)
    intake.accept_report(session, reporter, NewReport.model_validate(report(**changes)), now=datetime.now(UTC))
    session.commit()


def open_case(
    session: Session, people: People, given: Scores | None = None, *, now: datetime | None = None, **changes: Any
) -> Case:
    """A case that is open in the queue, with scores (committed)."""
    now = now or datetime.now(UTC)
    accepted = accept(session, people, **changes)
    session.commit()
    claims = [claim for lane in Lane for claim in assessment.claim_posts(session, lane, limit=100, lease_seconds=60)]
    given = given or scores(review=0.9, TTL=0.9)
    assessment.record_scores(
        session, audit.system("tests"), [(claim, given) for claim in claims], pipeline_version="test", now=now
    )
    session.commit()
    return session.scalars(select(Case).where(Case.id == accepted.case_id)).one()


NOT_ASSESSED = Scores(not_assessed=NotAssessed.MODEL_FAILED)
