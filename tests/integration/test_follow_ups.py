"""What follows a decision outside: opened with it, kept open until it was done and recorded, by its own people."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from annotations import follow_ups, review
from annotations.follow_ups import NewStep
from annotations.review import View
from tests import factories
from tests.people import People
from tests.visiting import THREAT, Visit
from triage.db import Case, Event, FollowUp, FollowUpStep
from triage.domain import follow_up
from triage.domain.errors import Forbidden, GateClosed, IllegalTransition, InvalidInput
from triage.domain.follow_up import NEEDED, Ending, FollowUpKind, StepKind
from triage.domain.gates import PossibleChild
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import Imminence, SpeechAct, Target, Tier

VIEW = View(("VIC",), SpeechAct.DISCLOSE_VICTIMISATION, Target.NONE, Imminence.NEAR)
OUTCOMES = {kind: outcome for outcome, kind in follow_up.OPENED_BY.items()}


def _now() -> datetime:
    return datetime.now(UTC)


def opened(
    session: Session,
    people: People,
    kind: FollowUpKind,
    child: PossibleChild = PossibleChild.UNKNOWN,
    **report: str,
) -> FollowUp:
    """A case decided so that this follows (committed)."""
    case = factories.open_case(session, people, **report)
    review.claim(session, people.moderator, case.id, now=_now())
    review.judge_first(session, people.moderator, case.id, VIEW, now=_now())
    decision = review.decide(
        session,
        people.moderator,
        case.id,
        VIEW,
        outcome=OUTCOMES[kind],
        reasons="They say they are afraid.",
        grounds=None,
        possible_child=child,
        now=_now(),
    )
    session.commit()
    row = follow_ups.of_decision(session, decision.id)
    assert row is not None
    return row


def step(kind: StepKind, **changes: object) -> NewStep:
    given: dict[str, object] = {"told": "Duty desk", "done_at": _now() - timedelta(seconds=5)} | changes
    return NewStep(kind, **given)  # type: ignore[arg-type]


def do(session: Session, people: People, row: FollowUp, *kinds: StepKind) -> None:
    for kind in kinds:
        follow_ups.add_step(session, people.safeguarding, row.id, step(kind), now=_now())
    session.commit()


def close(session: Session, people: People, row: FollowUp, ending: Ending, reasons: str = "") -> FollowUp:
    return follow_ups.close(session, people.safeguarding, row.id, ending, reasons=reasons, now=_now())


def test_safeguarding_lists_a_life_then_a_child_then_by_the_clock(session: Session, people: People) -> None:
    kind = FollowUpKind.SAFEGUARD
    grown = opened(session, people, kind, PossibleChild.NO, text="one")
    child = opened(session, people, kind, PossibleChild.YES, text="two")
    unknown = opened(session, people, kind, text="three")
    life = opened(session, people, kind, text="four")
    session.execute(text("UPDATE follow_ups SET band = 0 WHERE id = :id"), {"id": life.id})
    session.commit()

    rows = follow_ups.listed(session, people.safeguarding, [kind])

    assert [row.id for row in rows] == [life.id, child.id, grown.id, unknown.id]
    assert rows[1].due_at - rows[1].created_at <= follow_up.CHILD_WITHIN


@pytest.mark.parametrize(
    ("kind", "tier", "child", "minutes", "band"),
    [
        (FollowUpKind.LIFE_THREAT, Tier.P3, PossibleChild.NO, 15, 0),
        (FollowUpKind.SAFEGUARD, Tier.P3, PossibleChild.YES, 60, 1),
        (FollowUpKind.SAFEGUARD, Tier.P0, PossibleChild.YES, 15, 0),
        (FollowUpKind.SAFEGUARD, Tier.P2, PossibleChild.UNKNOWN, 480, 2),
    ],
)
def test_clock_of_each(kind: FollowUpKind, tier: Tier, child: PossibleChild, minutes: int, band: int) -> None:
    now = _now()

    due = follow_up.due(kind, tier, child, now=now, case_due=now)

    assert (due.at - now, due.band) == (timedelta(minutes=minutes), band)


def test_dec_10_what_is_another_owners_keeps_the_clock_of_the_case(session: Session, people: People) -> None:
    row = opened(session, people, FollowUpKind.ROUTE_OUT)

    assert row.due_at == session.get_one(Case, row.case_id).deadline_at


@pytest.mark.parametrize("kind", FollowUpKind)
def test_it_ends_as_done_only_when_every_step_is_recorded(session: Session, people: People, kind: FollowUpKind) -> None:
    row = opened(session, people, kind)
    who = people.moderator if kind is FollowUpKind.ROUTE_OUT else people.safeguarding
    for needed in NEEDED[kind]:
        with pytest.raises(GateClosed, match="Not recorded yet"):
            follow_ups.close(session, who, row.id, Ending.DONE, reasons="", now=_now())
        follow_ups.add_step(session, who, row.id, step(needed), now=_now())

    follow_ups.close(session, who, row.id, Ending.DONE, reasons="", now=_now())
    session.commit()

    assert (row.ending, row.closed_by) == ("done", who.id)
    with pytest.raises(IllegalTransition, match="ended"):
        follow_ups.add_step(session, who, row.id, step(NEEDED[kind][0]), now=_now())
    kinds = session.scalars(select(Event.kind).where(Event.object_id == str(row.id)).order_by(Event.id)).all()
    assert kinds == ["follow_up.opened", *["follow_up.step"] * len(NEEDED[kind]), "follow_up.closed"]


@pytest.mark.parametrize("ending", [Ending.NO_FURTHER_ACTION, Ending.HANDED_BACK])
def test_threat_to_life_cannot_be_talked_away(session: Session, people: People, ending: Ending) -> None:
    row = opened(session, people, FollowUpKind.LIFE_THREAT)

    with pytest.raises(GateClosed):
        close(session, people, row, ending, "He did not mean it.")


def test_follow_up_is_due_a_day_after_the_call(session: Session, people: People) -> None:
    row = opened(session, people, FollowUpKind.LIFE_THREAT)
    phoned_at = _now() - timedelta(minutes=1)

    with pytest.raises(InvalidInput, match="Phone the control room first"):
        follow_ups.add_step(session, people.moderator, row.id, step(StepKind.FOLLOWED_UP), now=_now())
    follow_ups.add_step(
        session, people.moderator, row.id, step(StepKind.CONTROL_ROOM_PHONED, done_at=phoned_at), now=_now()
    )

    assert row.due_at == phoned_at + timedelta(hours=24)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (step(StepKind.HANDED_OVER), "kind"),
        (step(StepKind.REFERRED, told=" "), "told"),
        (step(StepKind.NOTE, told="", note=" "), "note"),
        (step(StepKind.REFERRED, done_at=datetime(2100, 1, 1, tzinfo=UTC)), "done_at"),
        (step(StepKind.REFERRED, note="A gang member."), "note"),
    ],
)
def test_step_that_cannot_be_is_refused_at_its_field(
    session: Session, people: People, given: NewStep, field: str
) -> None:
    row = opened(session, people, FollowUpKind.SAFEGUARD)

    with pytest.raises(InvalidInput) as refused:
        follow_ups.add_step(session, people.safeguarding, row.id, given, now=_now())

    assert refused.value.field == field


def test_handed_back_opens_the_case_for_the_reviewers(session: Session, people: People) -> None:
    row = opened(session, people, FollowUpKind.SAFEGUARD)
    with pytest.raises(GateClosed):
        close(session, people, row, Ending.HANDED_BACK)

    close(session, people, row, Ending.HANDED_BACK, "It is a film script.")
    session.commit()

    case = session.get_one(Case, row.case_id)
    assert (case.status, case.outcome) == ("open", None)
    assert review.claim_next(session, people.second_moderator, now=_now()) == case


def test_each_list_is_for_its_own_people(session: Session, people: People) -> None:
    rows = {kind: opened(session, people, kind, text=str(kind)) for kind in FollowUpKind}
    may = {
        FollowUpKind.SAFEGUARD: {people.safeguarding},
        FollowUpKind.LIFE_THREAT: {people.safeguarding, people.moderator, people.approver},
        FollowUpKind.ROUTE_OUT: {people.moderator, people.approver},
    }
    for kind, row in rows.items():
        for user in (people.safeguarding, people.moderator, people.approver, people.analyst, people.outsider):
            if user in may[kind]:
                follow_ups.read(session, user, row.id)
            else:
                with pytest.raises(Forbidden):
                    follow_ups.read(session, user, row.id)


# ---- The database, when the code is bypassed


@pytest.mark.parametrize("kind", FollowUpKind)
def test_database_refuses_to_end_what_was_not_done(session: Session, people: People, kind: FollowUpKind) -> None:
    opened(session, people, kind)

    with pytest.raises(IntegrityError, match=r"LIFE-THREAT|SAFEGUARD|ROUTE-OUT"):
        session.execute(
            text("UPDATE follow_ups SET ending = 'done', closed_at = now(), closed_by = :user"),
            {"user": people.moderator.id},
        )


@pytest.mark.parametrize("ending", ["no_further_action", "handed_back"])
def test_database_refuses_another_ending_of_a_threat_to_life(session: Session, people: People, ending: str) -> None:
    opened(session, people, FollowUpKind.LIFE_THREAT)

    with pytest.raises(IntegrityError, match="life_threat_is_done"):
        session.execute(
            text("UPDATE follow_ups SET ending = :ending, reasons = 'x', closed_at = now(), closed_by = :user"),
            {"ending": ending, "user": people.moderator.id},
        )


@pytest.mark.parametrize("statement", ["UPDATE follow_up_steps SET told = 'x'", "DELETE FROM follow_up_steps"])
def test_database_refuses_to_change_what_was_done(session: Session, people: People, statement: str) -> None:
    row = opened(session, people, FollowUpKind.SAFEGUARD)
    do(session, people, row, StepKind.REFERRED)

    with pytest.raises(DBAPIError, match="stands as it was written"):
        session.execute(text(statement))


# ---- The pages


def test_escalating_leads_to_the_call_and_every_step_has_its_time(
    client: TestClient, session: Session, people: People
) -> None:
    factories.open_case(session, people, text="He is outside now, ring @owl on 020 7946 0000")
    visit = Visit(client, people.moderator)
    path = visit.take_next()
    visit.post(f"{path}/judge", **THREAT)
    visit.post(f"{path}/decide", **THREAT, outcome="escalate", reasons="He is there now")
    row = session.scalars(select(FollowUp)).one()
    decision = row.decision_id

    assert f"/follow-ups/of/{decision}" in visit.get(path).text
    assert visit.get(f"/follow-ups/of/{decision}").headers["location"] == f"/follow-ups/{row.id}"
    page = visit.get(f"/follow-ups/{row.id}").text
    assert ("call now" in page, "999" in page, "@owl" in page, "7946" in page) == (True, True, False, False)

    assert visit.post(f"/follow-ups/{row.id}/close", ending="done").status_code == 422
    for kind in NEEDED[FollowUpKind.LIFE_THREAT]:
        told = {"told": "Control room, call taker 4417", "reference": "INC-20"}
        assert visit.post(f"/follow-ups/{row.id}/step", kind=kind.value, **told).status_code == 303, kind
    assert visit.post(f"/follow-ups/{row.id}/close", ending="done", reasons="").headers["location"] == "/follow-ups"
    done = session.scalars(select(FollowUpStep).order_by(FollowUpStep.id)).all()
    assert [(given.told, given.user_id) for given in done] == [(told["told"], people.moderator.id)] * 4
    assert f"/follow-ups/{row.id}" in visit.get("/follow-ups").text


def test_inbox_shows_what_is_needed_and_records_the_reading(
    client: TestClient, session: Session, people: People
) -> None:
    row = opened(session, people, FollowUpKind.SAFEGUARD, PossibleChild.YES, text="They hurt me, says @owl")
    visit = Visit(client, people.safeguarding)
    assert f"/follow-ups/{row.id}" in visit.get("/safeguarding").text

    page = visit.get(f"/follow-ups/{row.id}").text
    assert ("They hurt me" in page, "@owl" in page, "They say they are afraid." in page) == (True, False, True)
    assert visit.post(f"/follow-ups/{row.id}/step", kind="referred").status_code == 422
    told = {"body": "MASH (multi-agency safeguarding hub)", "told": "duty officer", "done_at": "2026-01-02T03:04"}
    assert visit.post(f"/follow-ups/{row.id}/step", kind="referred", **told).status_code == 303
    given = session.scalars(select(FollowUpStep)).one()
    assert given.told == "MASH (multi-agency safeguarding hub), duty officer"
    assert given.done_at == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    readings = session.scalars(select(Event).where(Event.kind == "follow_up.read")).all()
    assert {(event.operation, event.actor_id) for event in readings} == {("consultation", str(people.safeguarding.id))}


def test_nobody_finds_what_is_not_there(client: TestClient, people: People) -> None:
    visit = Visit(client, people.moderator)

    assert visit.get(f"/follow-ups/{uuid.uuid4()}").status_code == 404
    assert visit.get(f"/follow-ups/of/{uuid.uuid4()}").status_code == 404


def test_outcomes_that_open_a_follow_up() -> None:
    assert set(follow_up.OPENED_BY) == {Outcome.SAFEGUARD, Outcome.ESCALATE, Outcome.ROUTE_OUT}


def test_first_page_counts_what_is_on_ones_own_list(client: TestClient, session: Session, people: People) -> None:
    opened(session, people, FollowUpKind.SAFEGUARD, text="one")
    opened(session, people, FollowUpKind.LIFE_THREAT, text="two")
    opened(session, people, FollowUpKind.ROUTE_OUT, text="three")
    session.execute(text("UPDATE follow_ups SET due_at = now() - interval '1 minute' WHERE kind = 'life_threat'"))
    session.commit()

    def card(name: str, heading: str) -> str:
        page = Visit(client, getattr(people, name)).get("/").text
        return page.split(f'<h2 class="govuk-heading-m">{heading}</h2>')[1].split("</p>")[0]

    assert re.findall(r"\d+", card("moderator", "Follow up").split("app-figure")[1]) == ["2", "1"]
    assert re.findall(r"\d+", card("safeguarding", "Safeguard").split("app-figure")[1]) == ["2", "1"]
    assert follow_ups.waiting(session, [FollowUpKind.ROUTE_OUT], now=_now()) == (1, 0)
