"""The list of what waits, by queue, and the button that takes the next case. No post text is shown here."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import review, views
from annotations.pages import filters as filtering
from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError
from annotations.pages.rendering import render
from triage import accounts, incidents, queries_queue
from triage.accounts import SignedIn
from triage.deps import NowDep, SessionDep
from triage.domain.errors import Conflict, InvalidInput
from triage.domain.routing import CURRENT
from triage.domain.taxonomy import Tier
from triage.domain.words import Role
from triage.queries_queue import Filters

router = APIRouter(prefix="/queue", include_in_schema=False)


@router.get("")
def queue(
    request: Request,
    session: SessionDep,
    now: NowDep,
    who: Visitor,
    empty: bool = False,
    after: Annotated[int | None, Query(ge=1, lt=2**62)] = None,
) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    chosen = filtering.read(request.query_params.getlist)
    return _page(request, session, now, who, chosen, after=after, nothing_left=empty)


@router.post("/next")
def review_next(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    """The next case of the queue that was chosen, or of all."""
    chosen = form.one("queue") if form.one("queue") in CURRENT.by_name else None
    case = review.claim_next(session, who.user, now=now, queue=chosen)
    if case is None:
        return RedirectResponse(filtering.address(Filters(queue=chosen), empty=1), 303)
    return RedirectResponse(f"/cases/{case.id}", 303)


@router.post("/views")
def save_view(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    chosen = filtering.read(form.many)
    try:
        with session.begin_nested():
            views.save_view(session, who.user, name=form.one("name"), filters=filtering.params(chosen))
    except (InvalidInput, Conflict) as error:
        return _page(request, session, now, who, chosen, errors=forms.as_errors(error), view_name=form.one("name"))
    return RedirectResponse(filtering.address(chosen), 303)


@router.post("/views/{view_id}/delete")
def delete_view(session: SessionDep, who: Visitor, form: CheckedForm, view_id: str) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    views.delete_view(session, who.user, uuid_of(view_id, "view"))
    return RedirectResponse("/queue", 303)


def _page(
    request: Request,
    session: Session,
    now: Any,
    who: SignedIn,
    chosen: Filters,
    *,
    after: int | None = None,
    nothing_left: bool = False,
    errors: list[FieldError] | None = None,
    view_name: str = "",
) -> Response:
    found = queries_queue.page(session, who.user, chosen, now=now, after=after)
    return render(
        request,
        "queue.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        now=now,
        nothing_left=nothing_left,
        chosen=chosen,
        params=filtering.params(chosen),
        queues=CURRENT.queues,
        titles={queue.name: queue.title for queue in CURRENT.queues},
        fill=queries_queue.fill(session),
        counted=queries_queue.COUNTED,
        window=queries_queue.WINDOW,
        clocks=queries_queue.clocks(session, now=now),
        calls=queries_queue.calls(session),
        incidents=incidents.running(session, now=now),
        views=[
            (view, filtering.address(filtering.read(_of(view.filters)))) for view in views.views_of(session, who.user)
        ],
        rows=found.rows,
        cut=found.cut,
        paged=after is not None,
        further=filtering.address(chosen, after=found.after) if found.after else None,
        address=filtering.address,
        Filters=Filters,
        filtering=filtering,
        tiers=[str(tier) for tier in Tier],
        view_name=view_name,
    )


def _of(kept: dict[str, Any]) -> Any:
    return lambda name: kept.get(name, ())
