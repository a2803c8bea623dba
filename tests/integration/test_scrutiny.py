"""Independent scrutiny: a draw that can be repeated, a blind second decision, and nobody's name."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from annotations import review, scrutiny
from annotations.pages.minimal import minimal
from annotations.review import View
from tests import factories, referrals
from tests.people import People
from tests.visiting import HARMLESS, Visit
from triage.db import Case, Decision, Event, ScrutinyItem, ScrutinyReading, ScrutinySample
from triage.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target

BENIGN = View(("BEN",), SpeechAct.UNCLEAR, Target.NONE, Imminence.UNSPECIFIED)
DAY = timedelta(days=1)


def _now() -> datetime:
    return datetime.now(UTC)


def decided(session: Session, people: People, words: str) -> Case:
    """A case decided as no violation (committed)."""
    case = factories.open_case(session, people, text=words, author_handle="@never_shown")
    review.claim(session, people.moderator, case.id, now=_now())
    review.judge_first(session, people.moderator, case.id, BENIGN, now=_now())
    review.decide(
        session, people.moderator, case.id, BENIGN,
        outcome=Outcome.NO_VIOLATION, reasons="", grounds=None, now=_now(),
    )  # fmt: skip
    session.commit()
    return case


def drawn(session: Session, people: People, *, wanted: int = 10, seed: str = "a seed") -> ScrutinySample:
    now = _now()
    sample = scrutiny.draw(
        session, people.scrutineer, frame_from=now - DAY, frame_to=now, wanted=wanted, seed=seed, now=now
    )
    session.commit()
    return sample


def items(session: Session, sample: ScrutinySample) -> list[ScrutinyItem]:
    query = select(ScrutinyItem).where(ScrutinyItem.sample_id == sample.id).order_by(ScrutinyItem.position)
    return list(session.scalars(query))


def test_same_seed_and_frame_draw_the_same_and_another_seed_does_not() -> None:
    frame = [(uuid.UUID(int=number), number % 3 == 0) for number in range(90)]

    first, again, other = (scrutiny.chosen(frame, seed, 20) for seed in ("one", "one", "two"))

    assert first == again == scrutiny.chosen(frame[::-1], "one", 20)
    assert len(set(first)) == 20
    assert set(first) != set(other)
    assert sum(dict(frame)[id_] for id_ in first) == 10


@pytest.mark.parametrize(
    ("referrals_", "others", "wanted", "expected"), [(2, 50, 10, 2), (50, 2, 10, 8), (3, 4, 10, 3)]
)
def test_where_one_kind_is_short_the_other_fills_up(referrals_: int, others: int, wanted: int, expected: int) -> None:
    frame = [(uuid.UUID(int=number), number < referrals_) for number in range(referrals_ + others)]

    chosen = scrutiny.chosen(frame, "seed", wanted)

    assert len(chosen) == min(wanted, len(frame))
    assert sum(dict(frame)[id_] for id_ in chosen) == expected


def test_draw_is_logged_with_its_seed_and_can_be_repeated(session: Session, people: People) -> None:
    for number in range(4):
        decided(session, people, f"post {number}")
    sample = drawn(session, people, wanted=2)

    rows = session.execute(select(Decision.id, Decision.outcome == "refer").order_by(Decision.id))
    frame = [(id_, refer) for id_, refer in rows]
    assert [item.decision_id for item in items(session, sample)] == scrutiny.chosen(frame, "a seed", 2)
    assert sample.frame_sha256 == hashlib.sha256("\n".join(str(id_) for id_, _ in frame).encode()).hexdigest()
    event = session.scalars(select(Event).where(Event.kind == "scrutiny.drawn")).one()
    assert (event.actor_id, event.data["seed"], event.data["frame_size"]) == (str(people.scrutineer.id), "a seed", 4)


def test_only_scrutineers_draw_and_nobody_reads_anothers_sample(session: Session, people: People) -> None:
    decided(session, people, "one")
    sample = drawn(session, people)
    (item,) = items(session, sample)

    for user in (people.moderator, people.approver, people.admin, people.outsider):
        with pytest.raises(Forbidden):
            scrutiny.draw(session, user, frame_from=_now() - DAY, frame_to=_now(), wanted=1, now=_now())
        with pytest.raises(Forbidden):
            scrutiny.read(session, user, item.id)
    people.outsider.roles = ["scrutineer"]
    session.commit()
    with pytest.raises(NotFound):
        scrutiny.read(session, people.outsider, item.id)
    with pytest.raises(NotFound):
        scrutiny.compared(session, people.outsider, sample.id)


@pytest.mark.parametrize(
    ("start", "end", "wanted", "field"),
    [
        (0, 0, 1, "frame_to"),
        (-1, 1, 1, "frame_to"),
        (-9, -8, 1, "frame_from"),
        (-1, 0, 0, "wanted"),
        (-1, 0, 51, "wanted"),
    ],
)
def test_frame_that_cannot_be_is_refused(
    session: Session, people: People, start: int, end: int, wanted: int, field: str
) -> None:
    decided(session, people, "one")
    now = _now()

    with pytest.raises(InvalidInput) as refused:
        scrutiny.draw(
            session, people.scrutineer, frame_from=now + start * DAY, frame_to=now + end * DAY, wanted=wanted, now=now
        )

    assert refused.value.field == field


def test_what_was_decided_is_shown_after_the_own_decision_which_is_given_once(session: Session, people: People) -> None:
    case = decided(session, people, "one")
    sample = drawn(session, people)
    (item,) = items(session, sample)

    assert scrutiny.decided(session, people.scrutineer, item.id) is None
    assert [row.decided for row in scrutiny.compared(session, people.scrutineer, sample.id)[1]] == [None]
    scrutiny.decide_again(session, people.scrutineer, item.id, BENIGN, Outcome.SAFEGUARD, "They are afraid.")
    session.commit()

    shown = scrutiny.decided(session, people.scrutineer, item.id)
    assert shown is not None
    assert shown.outcome is Outcome.NO_VIOLATION
    (row,) = scrutiny.compared(session, people.scrutineer, sample.id)[1]
    assert (row.same_outcome, row.same_codes) == (False, True)
    with pytest.raises(Conflict):
        scrutiny.decide_again(session, people.scrutineer, item.id, BENIGN, Outcome.NO_VIOLATION, "")
    session.refresh(case)
    assert (case.status, case.outcome) == ("decided", "no_violation")
    with pytest.raises(DBAPIError, match="stands as it was written"):
        session.execute(text("UPDATE scrutiny_readings SET outcome = 'no_violation'"))


def test_pages_name_nobody_and_keep_the_decision_back(client: TestClient, session: Session, people: People) -> None:
    case = factories.open_case(
        session, people, text="Ask @owl or owl@nest.example, 020 7946 0000, at https://nest.example/x about half three",
        author_handle="@never_shown", url="https://chirper.example/never",
    )  # fmt: skip
    referrals.refer(session, people, case)
    visit = Visit(client, people.scrutineer)
    day = f"{_now():%Y-%m-%d}"

    assert visit.post("/scrutiny", frame_from="x", frame_to=day, wanted="5").status_code == 422
    drawn_ = visit.post("/scrutiny", frame_from=f"{_now() - DAY:%Y-%m-%d}", frame_to=day, wanted="5", seed="s")
    sample = drawn_.headers["location"]
    (item,) = session.scalars(select(ScrutinyItem)).all()
    path = f"/scrutiny/items/{item.id}"
    assert path in visit.get(sample).text

    before = visit.get(path).text
    assert "about half three" in before
    hidden = ("owl", "nest.example", "7946", "never", people.moderator.pseudonym, people.moderator.display_name)
    decision = ("Names a time and a place.", "Another outcome")
    assert [word for word in (*hidden, *decision) if word in before] == []

    assert visit.post(path, codes="BEN").status_code == 422
    assert visit.post(path, **HARMLESS, outcome="no_violation").status_code == 303
    after = visit.get(path).text
    assert ("Another outcome" in after, "Names a time and a place." in after) == (True, True)
    assert [word for word in hidden if word in after + visit.get(sample).text] == []
    assert "0 had the same outcome" in visit.get(sample).text
    assert session.scalars(select(ScrutinyReading.outcome)).all() == ["no_violation"]
    readings = session.scalars(select(Event).where(Event.kind == "scrutiny.read")).all()
    assert {(event.operation, event.case_id) for event in readings} == {("consultation", case.id)}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("@owl. knows", "[handle] knows"),
        ("a.b+c@d.example now", "[e-mail] now"),
        ("see www.x.example/?a=1 now", "see [address] now"),
        ("+44 (0)20 7946 0000 now", "[number] now"),
        ("at 3:30, 4 for £60, in 2026", "at 3:30, 4 for £60, in 2026"),
        ("<b>@owl</b>", "&lt;b&gt;[handle]&lt;/b&gt;"),
    ],
)
def test_minimal_text(words: str, shown: str) -> None:
    assert str(minimal(words)) == shown
