"""What follows a decision outside: the safeguarding inbox, the call about a threat to life, handing over."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParam
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import follow_ups
from annotations.follow_ups import NewStep, Step
from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Incomplete, Typed
from annotations.pages.minimal import minimal
from annotations.pages.rendering import render
from triage import queries
from triage.accounts import SignedIn
from triage.db import Decision
from triage.deps import NowDep, SessionDep
from triage.domain.errors import GateClosed, InvalidInput, NotFound
from triage.domain.follow_up import ENDINGS, NEEDED, STEPS, Ending, FollowUpKind, StepKind
from triage.settings import current

router = APIRouter(include_in_schema=False)

FollowUpId = Annotated[str, PathParam(alias="follow_up_id")]

KINDS = {
    FollowUpKind.LIFE_THREAT: "Threat to life",
    FollowUpKind.SAFEGUARD: "Safeguarding or support",
    FollowUpKind.ROUTE_OUT: "For another owner",
}
STEP_WORDS = {
    StepKind.CONTROL_ROOM_PHONED: "The control room was phoned",
    StepKind.EVIDENCE_GIVEN: "They were given the words, the platform and the address of the post",
    StepKind.SUPERVISOR_TOLD: "A supervisor here was told",
    StepKind.FOLLOWED_UP: "Asked what came of it",
    StepKind.REFERRED: "Referred to those who can help",
    StepKind.ANSWERED: "They answered",
    StepKind.SUPPORT_GIVEN: "Support or advice was given",
    StepKind.HANDED_OVER: "Handed over, and taken",
    StepKind.NOTE: "A note",
}
ENDING_WORDS = {
    Ending.DONE: "Done",
    Ending.NO_FURTHER_ACTION: "No further action",
    Ending.HANDED_BACK: "Hand it back to the reviewers: the case opens again",
}
#: Whom a safeguarding lead tells, as a rule. Nothing is sent by choosing one.
BODIES = (
    "MASH (multi-agency safeguarding hub)",
    "NRM (National Referral Mechanism)",
    "Children's social care",
    "Adult social care",
    "Health or mental health service",
    "School or college",
    "Youth or victim support charity",
    "Police (999 or 101)",
)


@router.get("/safeguarding")
def safeguarding(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    return _list(request, session, now, who, [FollowUpKind.SAFEGUARD], "Safeguarding inbox")


@router.get("/follow-ups")
def listed(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    return _list(request, session, now, who, [FollowUpKind.LIFE_THREAT, FollowUpKind.ROUTE_OUT], "Follow-ups")


@router.get("/follow-ups/of/{decision_id}")
def of_decision(session: SessionDep, who: Visitor, decision_id: str) -> Response:
    """Where somebody who has just decided goes on. Whether they may see it is asked there."""
    row = follow_ups.of_decision(session, uuid_of(decision_id, "decision"))
    if row is None:
        raise NotFound("Nothing follows this decision")
    return RedirectResponse(f"/follow-ups/{row.id}", 303)


@router.get("/follow-ups/{follow_up_id}")
def show(request: Request, session: SessionDep, now: NowDep, who: Visitor, follow_up_id: FollowUpId) -> Response:
    return _page(request, session, now, who, follow_up_id)


@router.post("/follow-ups/{follow_up_id}/step")
def add_step(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, follow_up_id: FollowUpId
) -> Response:
    id_ = uuid_of(follow_up_id, "follow-up")
    try:
        step = _read_step(form, now)
        with session.begin_nested():
            follow_ups.add_step(session, who.user, id_, step, now=now)
    except Incomplete as error:
        return _page(request, session, now, who, follow_up_id, typed=form, errors=error.errors)
    except InvalidInput as error:
        return _page(request, session, now, who, follow_up_id, typed=form, errors=forms.as_errors(error))
    return RedirectResponse(f"/follow-ups/{id_}", 303)


@router.post("/follow-ups/{follow_up_id}/close")
def close(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, follow_up_id: FollowUpId
) -> Response:
    id_ = uuid_of(follow_up_id, "follow-up")
    if form.one("ending") not in [str(ending) for ending in Ending]:
        errors = [FieldError("ending", "Say how it ended")]
        return _page(request, session, now, who, follow_up_id, typed=form, errors=errors)
    try:
        with session.begin_nested():
            row = follow_ups.close(
                session, who.user, id_, Ending(form.one("ending")), reasons=form.one("reasons"), now=now
            )
    except (GateClosed, InvalidInput) as error:
        return _page(request, session, now, who, follow_up_id, typed=form, errors=forms.as_errors(error))
    return RedirectResponse("/safeguarding" if row.kind == FollowUpKind.SAFEGUARD else "/follow-ups", 303)


def _read_step(typed: Typed, now: datetime) -> NewStep:
    """Raises Incomplete: no step was chosen, or the time is none."""
    errors = []
    done_at = now
    if (given := typed.one("done_at")) != "":
        try:
            done_at = datetime.strptime(given, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
        except ValueError:
            errors.append(FieldError("done_at", "Give date and time, or leave it empty for now"))
    if typed.one("kind") not in [str(kind) for kind in StepKind]:
        errors.insert(0, FieldError("kind", "Choose what was done"))
    if errors:
        raise Incomplete(errors)
    told = ", ".join(part for part in (typed.one("body"), typed.one("told")) if part)
    return NewStep(
        kind=StepKind(typed.one("kind")),
        told=told,
        done_at=done_at,
        reference=typed.one("reference"),
        note=typed.one("note"),
    )


def _list(
    request: Request, session: Session, now: datetime, who: SignedIn, kinds: Sequence[FollowUpKind], title: str
) -> Response:
    rows = follow_ups.listed(session, who.user, kinds)
    closed = follow_ups.listed(session, who.user, kinds, closed=True, limit=20)
    return render(
        request, "follow_ups.html", who=who, now=now, heading=title, rows=rows, closed=closed, KINDS=KINDS,
        ENDING_WORDS=ENDING_WORDS,
    )  # fmt: skip


def _page(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    follow_up_id: str,
    *,
    typed: Typed | None = None,
    errors: Sequence[FieldError] = (),
) -> Response:
    """No more of the case than it takes: the words with handles masked, and what the reviewer wrote."""
    row, case = follow_ups.read(session, who.user, uuid_of(follow_up_id, "follow-up"))
    kind = FollowUpKind(row.kind)
    done: list[Step] = follow_ups.steps(session, row.id)
    missing = [step for step in NEEDED[kind] if step not in {given.kind for given in done}]
    post = queries.read_post(session, case)
    return render(
        request,
        "follow_up.html",
        who=who,
        status=422 if errors else 200,
        errors=list(errors),
        now=now,
        row=row,
        case=case,
        post=post,
        text=minimal(post.text or ""),
        decision=session.get_one(Decision, row.decision_id),
        done=done,
        missing=missing,
        kind=kind,
        KINDS=KINDS,
        STEP_WORDS=STEP_WORDS,
        ENDING_WORDS=ENDING_WORDS,
        step_kinds=STEPS[kind],
        endings=ENDINGS[kind],
        bodies=BODIES if kind is FollowUpKind.SAFEGUARD else (),
        control_room=current().control_room,
        typed=typed or Typed({"kind": [str(missing[0])]} if missing else {}),
    )
