"""Incident mode: what goes on, told to everybody who reads, by an approver or an administrator. It ends by itself."""

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts, incidents
from triage.accounts import SignedIn
from triage.deps import NowDep, SessionDep
from triage.domain.errors import InvalidInput
from triage.domain.routing import CURRENT
from triage.domain.words import Role

router = APIRouter(prefix="/incidents", include_in_schema=False)

_HOURS = {1: "1 hour", 4: "4 hours", 12: "12 hours", 24: "1 day", 48: "2 days", 72: "3 days"}


@router.get("")
def listed(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    accounts.require(who.user, Role.APPROVER, Role.ADMIN)
    return _page(request, session, now, who, Typed())


@router.post("")
def opened(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, Role.APPROVER, Role.ADMIN)
    hours = form.one("hours")
    try:
        with session.begin_nested():
            incidents.open_incident(
                session,
                who.user,
                title=form.one("title"),
                note=form.one("note"),
                hours=int(hours) if hours in [str(known) for known in _HOURS] else 0,
                queue=form.one("queue") or None,
                platform=form.one("platform") or None,
                now=now,
            )
    except InvalidInput as error:
        return _page(request, session, now, who, form, forms.as_errors(error))
    return RedirectResponse("/incidents", 303)


@router.post("/{incident_id}/close")
def closed(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, incident_id: str) -> Response:
    accounts.require(who.user, Role.APPROVER, Role.ADMIN)
    incidents.close_incident(session, who.user, uuid_of(incident_id, "incident"), now=now)
    return RedirectResponse("/incidents", 303)


def _page(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    typed: Typed,
    errors: list[FieldError] | None = None,
) -> Response:
    return render(
        request,
        "incidents.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        now=now,
        typed=typed,
        rows=incidents.recent(session),
        hours=_HOURS,
        queues=CURRENT.queues,
    )
