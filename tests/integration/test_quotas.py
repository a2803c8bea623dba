"""What a partner may send in a day: reports and texts to score are counted apart."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from tests.factories import accept
from tests.people import People
from triage import accounts
from triage.db import Event, Partner, PartnerUsage
from triage.domain.errors import QuotaExceeded
from workers.cli import app

NOW = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)


def counted(session: Session) -> tuple[int, int]:
    usage = session.scalars(select(PartnerUsage)).one()
    session.refresh(usage)
    return usage.reports, usage.scores


def test_partner_that_used_up_its_scores_can_still_report(session: Session, people: People) -> None:
    partner = session.get_one(Partner, people.partner.id)
    accounts.use_score_quota(session, partner, texts=partner.score_quota_per_day, now=datetime.now(UTC))
    with pytest.raises(QuotaExceeded, match="100000 scores a day"), session.begin_nested():
        accounts.use_score_quota(session, partner, texts=1, now=datetime.now(UTC))

    accept(session, people)

    assert counted(session) == (1, 100_000)


def test_partner_that_used_up_its_reports_can_still_score(session: Session, people: People) -> None:
    partner = session.get_one(Partner, people.partner.id)
    accounts.use_quota(session, partner, reports=partner.quota_per_day, now=NOW)
    with pytest.raises(QuotaExceeded, match="100000 reports a day") as refused, session.begin_nested():
        accounts.use_quota(session, partner, reports=1, now=NOW)

    accounts.use_score_quota(session, partner, texts=7, now=NOW)

    assert counted(session) == (100_000, 7)
    assert refused.value.retry_after == 60


def test_quotas_are_changed_on_the_command_line_and_noted(session: Session, people: People) -> None:
    done = CliRunner().invoke(app, ["key", "quota", "Chirper", "--scores", "5"])

    partner = session.get_one(Partner, people.partner.id, populate_existing=True)
    noted = session.scalars(select(Event).where(Event.kind == "partner.quota_changed")).one()
    assert (done.exit_code, partner.quota_per_day, partner.score_quota_per_day) == (0, 100_000, 5)
    assert noted.data == {"score_quota_per_day": 5}


def test_quota_of_nothing_is_refused() -> None:
    assert "Give --reports, --scores, or both" in str(CliRunner().invoke(app, ["key", "quota", "Chirper"]).exception)
