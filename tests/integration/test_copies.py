"""Copies of a post: found by an index, shown without anybody's name, decided together and each for itself."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from annotations import copies, review
from tests import factories
from tests.people import People
from tests.visiting import HARMLESS, Visit
from triage import accounts, intake
from triage.db import Case, Decision, Event, Judgement, Post, PostWords
from triage.db.session import session_factory
from triage.domain.errors import GateClosed
from triage.domain.lifecycle import Outcome
from triage.intake import Reporter
from triage.new_report import NewReport

WORDS = "They said they would be waiting by the leisure centre on Friday when he comes out of training"


def posted(session: Session, people: People, *texts: str) -> list[Case]:
    """An open case for each, by different authors, findable."""
    cases = [
        factories.open_case(session, people, text=words, author_handle=f"@author{number}")
        for number, words in enumerate(texts)
    ]
    copies.remember(session)
    session.commit()
    return cases


def judged(client: TestClient, people: People, path: str | None = None) -> tuple[Visit, str]:
    visit = Visit(client, people.moderator)
    path = path or visit.take_next()
    visit.post(f"{path}/claim")
    visit.post(f"{path}/judge", **HARMLESS)
    return visit, path


def test_copies_are_shown_with_what_became_of_them_after_the_judgement(
    client: TestClient, session: Session, people: People
) -> None:
    first, second, near, _ = posted(
        session, people, WORDS, WORDS.upper(), WORDS + " tomorrow", "Something quite different about a lost cat"
    )
    visit, path = judged(client, people, f"/cases/{second.id}")
    visit.post(f"{path}/decide", **HARMLESS, outcome="no_violation")
    visit.post(f"/cases/{first.id}/claim")
    path = f"/cases/{first.id}"
    assert "The same words elsewhere" not in visit.get(path).text

    visit.post(f"{path}/judge", **HARMLESS)
    page = visit.get(path).text.split('id="copies"')[1].split("</section>")[0]

    assert page.index("Exact copies: 1") < page.index(str(second.number)) < page.index("No violation (BEN)")
    assert page.index("Similar posts: 1") < page.index(str(near.number)) < page.index("tenths alike")
    assert "author" not in page


def test_open_copies_are_decided_with_one_decision_and_each_has_its_own_record(
    client: TestClient, session: Session, people: People
) -> None:
    cases = posted(session, people, *[WORDS] * 3, WORDS + " tomorrow")
    visit, path = judged(client, people, f"/cases/{cases[0].id}")
    listed = [str(case.id) for case in cases[1:]]  # the last one is no copy, whatever a form says

    answer = visit.post(f"{path}/decide", **HARMLESS, outcome="no_violation", together="yes", copy=listed)

    assert answer.headers["location"].endswith("together=2")
    assert "2 copies were decided with it" in visit.get(answer.headers["location"]).text
    session.expire_all()
    assert [case.status for case in cases] == ["decided", "decided", "decided", "open"]
    for case in cases[:3]:
        kinds = session.scalars(select(Event.kind).where(Event.case_id == case.id).order_by(Event.id)).all()
        assert [kind for kind in kinds if kind in ("case.claimed", "case.judged", "case.decided")] == [
            "case.claimed",
            "case.judged",
            "case.decided",
        ]
        assert ("case.decided_together" in kinds) == (case is not cases[0])
    stages = session.execute(select(Judgement.case_id, Judgement.stage)).all()
    assert len(stages) == 6
    assert session.scalars(select(Decision.case_id)).all() == [case.id for case in cases[:3]]


def test_what_the_reader_submitted_or_somebody_reads_is_left_out(
    client: TestClient, session: Session, people: People
) -> None:
    cases = posted(session, people, *[WORDS] * 3)
    own = Reporter(accounts.actor_of(people.moderator), user_id=people.moderator.id)
    report = NewReport.model_validate(factories.report(text=WORDS, author_handle="@author1"))
    intake.accept_report(session, own, report, now=datetime.now(UTC))
    review.claim(session, people.second_moderator, cases[2].id, now=datetime.now(UTC))
    session.commit()
    visit, path = judged(client, people, f"/cases/{cases[0].id}")
    listed = [str(case.id) for case in cases[1:]]

    answer = visit.post(f"{path}/decide", **HARMLESS, outcome="no_violation", together="yes", copy=listed)

    assert answer.headers["location"] == path
    session.expire_all()
    assert [case.status for case in cases] == ["decided", "open", "open"]


def test_outcome_that_each_post_needs_for_itself_is_refused_and_nothing_is_decided(
    client: TestClient, session: Session, people: People
) -> None:
    cases = posted(session, people, *[WORDS] * 2)
    visit, path = judged(client, people, f"/cases/{cases[0].id}")

    answer = visit.post(
        f"{path}/decide", **HARMLESS, outcome="return", reasons="No date", together="yes", copy=str(cases[1].id)
    )

    assert (answer.status_code, 'href="#together"' in answer.text) == (422, True)
    session.expire_all()
    assert [case.status for case in cases] == ["open", "open"]


def test_two_people_with_overlapping_copies_do_not_wait_for_each_other(session: Session, people: People) -> None:
    """The other one holds a row: it is skipped, and the rest is decided."""
    cases = posted(session, people, *[WORDS] * 3)
    now = datetime.now(UTC)
    view = review.View(("BEN",), *_harmless_axes())
    with closing(session_factory()()) as other:
        other.execute(select(Case.id).where(Case.id == cases[1].id).with_for_update())
        review.claim(session, people.moderator, cases[0].id, now=now)
        review.judge_first(session, people.moderator, cases[0].id, view, now=now)
        decide = {"outcome": Outcome.NO_VIOLATION, "reasons": "", "now": now}
        review.decide(session, people.moderator, cases[0].id, view, grounds=None, **decide)
        session.execute(text("SET LOCAL lock_timeout = '2s'"))
        listed = [case.id for case in cases[1:]]
        done = copies.decide_together(session, people.moderator, cases[0].id, listed, view, **decide)
        other.rollback()

    assert [case.id for case in done] == [cases[2].id]
    with pytest.raises(GateClosed):
        copies.decide_together(
            session, people.moderator, cases[0].id, [], view, outcome=Outcome.REFER, reasons="", now=now
        )


def _harmless_axes() -> tuple[object, ...]:
    return review.SpeechAct.UNCLEAR, review.Target.NONE, review.Imminence.UNSPECIFIED


def test_posts_become_findable_once_scored_and_once_only(session: Session, people: People) -> None:
    factories.accept(session, people, text="not scored yet, so nobody waits for its copies")
    session.commit()
    assert copies.remember(session) == 0
    posted(session, people, WORDS, "short")

    assert copies.remember(session) == 0
    rows = session.execute(select(Post.text, PostWords.sketch).join(PostWords).order_by(Post.id)).all()
    assert [(words, bool(sketch)) for words, sketch in rows if words in (WORDS, "short")] == [
        (WORDS, True),
        ("short", False),
    ]
