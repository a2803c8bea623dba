"""A reviewer's own page: what they have read today, breaks, topics they leave out. Nobody has a page about another."""

from datetime import date, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from annotations import review, wellbeing
from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError
from annotations.pages.rendering import render
from annotations.wellbeing import CallOut, Media
from triage import accounts
from triage.accounts import SignedIn
from triage.deps import NowDep, SessionDep
from triage.domain import exposure
from triage.domain.errors import InvalidInput
from triage.domain.taxonomy import CODES, SCORED_CODES
from triage.domain.words import Role

router = APIRouter(prefix="/wellbeing", include_in_schema=False)

CALL_OUTS = {
    CallOut.NOBODY_ELSE: "I am on call and nobody else is here",
    CallOut.CALLED_IN: "I was called in for this",
    CallOut.KNOWS_THE_CASE: "I have read what belongs to this case",
}


def in_minutes(span: timedelta) -> str:
    """``1 hour 20 minutes``; people plan a break by the minute."""
    hours, minutes = divmod(max(0, int(span.total_seconds() // 60)), 60)
    parts = [f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in ((hours, "hour"), (minutes, "minute")) if n]
    return " ".join(parts) or "0 minutes"


@router.get("")
def own_page(request: Request, session: SessionDep, now: NowDep, who: Visitor, said: str = "") -> Response:
    return _page(request, session, now, who, said=said)


@router.post("/break")
def take_break(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    """Whatever is in hand goes back to the queue at once."""
    accounts.require(who.user, Role.MODERATOR)
    if (held := review.holds(session, who.user, now=now)) is not None:
        review.release(session, who.user, held.id, now=now)
    return RedirectResponse("/wellbeing?said=break", 303)


@router.post("/topics")
def choose_topics(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    topics: dict[str, date | None] = dict.fromkeys(form.many("today"), exposure.day_of(now))
    topics |= dict.fromkeys(form.many("always"))
    try:
        wellbeing.leave_out(session, who.user, topics)
    except InvalidInput as error:
        return _page(request, session, now, who, chosen=topics, errors=forms.as_errors(error))
    return RedirectResponse("/wellbeing?said=topics", 303)


@router.post("/media")
def choose_media(session: SessionDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    wanted = set(form.many("media"))
    wellbeing.choose_media(session, who.user, Media("blur" in wanted, "greyscale" in wanted, "mute" in wanted))
    return RedirectResponse("/wellbeing?said=media", 303)


@router.post("/call-out/{case_id}")
def call_out(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, case_id: str
) -> Response:
    """Take a threat to life although a break is due."""
    accounts.require(who.user, Role.MODERATOR)
    reason = form.one("reason")
    if reason not in set(CallOut):
        return _page(request, session, now, who, errors=[FieldError("reason", "Say why you take it now")])
    case = wellbeing.call_out(session, who.user, uuid_of(case_id), CallOut(reason), now=now)
    review.claim(session, who.user, case.id, now=now)
    return RedirectResponse(f"/cases/{case.id}", 303)


def _page(
    request: Request,
    session: SessionDep,
    now: NowDep,
    who: SignedIn,
    *,
    said: str = "",
    chosen: dict[str, date | None] | None = None,
    errors: list[FieldError] | None = None,
) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    figures = wellbeing.own_figures(session, who.user, now=now)
    return render(
        request,
        "wellbeing.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        said=said,
        now=now,
        figures=figures,
        in_minutes=in_minutes,
        threats=wellbeing.open_threats(session, now=now) if figures.break_due else [],
        call_outs=CALL_OUTS,
        topics=[CODES[code] for code in SCORED_CODES],
        most=wellbeing.MOST_LEFT_OUT,
        chosen=wellbeing.left_out_topics(session, who.user, now=now) if chosen is None else chosen,
        media=wellbeing.media(session, who.user),
        held=review.holds(session, who.user, now=now),
    )
