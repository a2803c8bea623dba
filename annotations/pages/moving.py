"""What to do with a case besides deciding it: hold, give to somebody, ask an approver; and the approver's answers."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import handling
from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts
from triage.accounts import SignedIn
from triage.db import Case
from triage.deps import NowDep, SessionDep
from triage.domain.errors import InvalidInput, NotFound
from triage.domain.handling import KEPT_FOR, LONGEST_HOLD, HoldReason
from triage.domain.priority import in_words
from triage.domain.taxonomy import Tier
from triage.domain.words import Role

router = APIRouter(include_in_schema=False)

_HOLDS = {minutes: in_words(timedelta(minutes=minutes)) for minutes in (15, 30, 60, 240, 480, 1440, 4320, 10080)}
_REASONS = {
    HoldReason.CAPTURE: "The page is to be captured again",
    HoldReason.REPORTER: "The reporter is asked for more",
    HoldReason.ADVICE: "Advice is being sought",
    HoldReason.TRANSLATION: "It is being translated",
    HoldReason.OTHER: "Something else",
}


@router.get("/cases/{case_id}/move")
def moving(request: Request, session: SessionDep, now: NowDep, who: Visitor, case_id: str) -> Response:
    accounts.require(who.user, Role.MODERATOR, Role.APPROVER)
    return _page(request, session, now, who, case_id)


@router.post("/cases/{case_id}/hold")
def hold(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, case_id: str) -> Response:
    accounts.require(who.user, Role.MODERATOR)

    def act() -> None:
        if form.one("reason") not in list(HoldReason):
            raise InvalidInput("Say what the case waits for", field="reason")
        if form.one("until") not in [str(minutes) for minutes in _HOLDS]:
            raise InvalidInput("Choose until when", field="until")
        until = now + timedelta(minutes=int(form.one("until")))
        reason = HoldReason(form.one("reason"))
        handling.hold(session, who.user, uuid_of(case_id), reason=reason, note=form.one("note"), until=until, now=now)

    return _try(request, session, now, who, case_id, form, act, "/queue")


@router.post("/cases/{case_id}/resume")
def resume(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, case_id: str) -> Response:
    handling.resume(session, who.user, uuid_of(case_id), now=now)
    return RedirectResponse(f"/cases/{uuid_of(case_id)}/move", 303)


@router.post("/cases/{case_id}/assign")
def assign(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, case_id: str
) -> Response:
    accounts.require(who.user, Role.MODERATOR, Role.APPROVER)

    def act() -> None:
        if not form.one("to"):
            raise InvalidInput("Choose who gets it", field="to")
        to = uuid_of(form.one("to"), "person")
        handling.assign(session, who.user, uuid_of(case_id), to=to, note=form.one("assign_note"), now=now)

    return _try(request, session, now, who, case_id, form, act, _home(who))


@router.post("/cases/{case_id}/escalate")
def escalate(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, case_id: str
) -> Response:
    accounts.require(who.user, Role.MODERATOR)

    def act() -> None:
        try:
            handling.escalate(session, who.user, uuid_of(case_id), note=form.one("question"), now=now)
        except InvalidInput as error:
            raise InvalidInput(error.detail, field="question") from error

    return _try(request, session, now, who, case_id, form, act, "/queue")


@router.get("/questions")
def questions(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    accounts.require(who.user, Role.APPROVER)
    return _questions(request, session, now, who)


@router.post("/questions/{note_id}/answer")
def answer(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, note_id: str
) -> Response:
    accounts.require(who.user, Role.APPROVER)
    try:
        with session.begin_nested():
            handling.answer(session, who.user, uuid_of(note_id, "question"), text=form.one("answer"), now=now)
    except InvalidInput as error:
        errors = [FieldError(f"answer-{uuid_of(note_id)}", error.detail)]
        return _questions(request, session, now, who, errors, {str(uuid_of(note_id)): form.one("answer")})
    return RedirectResponse("/questions", 303)


def _home(who: SignedIn) -> str:
    return "/queue" if Role.MODERATOR.value in who.user.roles else "/questions"


def _try(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    case_id: str,
    form: Typed,
    act: Callable[[], None],
    then: str,
) -> Response:
    """Do it and go on; or the same page with what was typed and what is wrong with it."""
    try:
        with session.begin_nested():
            act()
    except InvalidInput as error:
        return _page(request, session, now, who, case_id, form, forms.as_errors(error))
    return RedirectResponse(then, 303)


def _page(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    case_id: str,
    typed: Typed | None = None,
    errors: Sequence[FieldError] = (),
) -> Response:
    case = session.get(Case, uuid_of(case_id))
    if case is None:
        raise NotFound("There is no such case")
    tier = Tier(case.tier or Tier.P2)
    longest = LONGEST_HOLD.get(tier, timedelta(0))
    context: dict[str, Any] = {
        "case": case,
        "reading": case.lease_user_id == who.user.id,
        "approves": Role.APPROVER.value in who.user.roles,
        "on_hold": case.hold_until is not None and case.hold_until >= now,
        "holds": {minutes: words for minutes, words in _HOLDS.items() if timedelta(minutes=minutes) <= longest},
        "reasons": _REASONS,
        "kept_for": in_words(KEPT_FOR),
        "reviewers": handling.reviewers(session, who.user),
        "history": handling.history(session, who.user, case.id),
    }
    status = 422 if errors else 200
    return render(
        request, "moving.html", who=who, status=status, errors=list(errors), now=now, typed=typed or Typed(), **context
    )


def _questions(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    errors: Sequence[FieldError] = (),
    typed: dict[str, str] | None = None,
) -> Response:
    asked = handling.waiting_questions(session, who.user)
    return render(
        request,
        "questions.html",
        who=who,
        status=422 if errors else 200,
        errors=list(errors),
        now=now,
        asked=asked,
        typed=typed or {},
    )
