"""One case: read it, judge it, see the machine's view, decide. What the page holds is in ``desk_page``."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response

from annotations import copies, drafts, review
from annotations.pages import forms
from annotations.pages.access import CheckedForm, uuid_of
from annotations.pages.desk_page import Desk, DeskDep, show_desk
from annotations.pages.forms import FieldError, Incomplete, Typed
from annotations.pages.rendering import render
from annotations.review import View
from triage import queries
from triage.db import Case
from triage.domain.desk import PassReason
from triage.domain.errors import Conflict, GateClosed, IllegalTransition, InvalidInput, LeaseLost
from triage.domain.lifecycle import Outcome

router = APIRouter(prefix="/cases/{case_id}", include_in_schema=False)


@router.get("")
def show(
    case_id: str, desk: DeskDep, reports: Annotated[int, Query(ge=1, le=100_000)] = 1, together: int = 0
) -> Response:
    """``reports``: which page of them. ``together``: how many copies were decided with it, a moment ago."""
    id_ = uuid_of(case_id)
    try:
        return show_desk(desk, id_, reports=reports)
    except (IllegalTransition, LeaseLost):
        return _closed_page(desk, desk.session.get_one(Case, id_), together)


@router.post("/claim")
def claim(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    return _to(review.claim(desk.session, desk.who.user, uuid_of(case_id), now=desk.now))


@router.post("/extend")
def extend(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    return _to(review.extend(desk.session, desk.who.user, uuid_of(case_id), now=desk.now))


@router.post("/release")
def release(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    review.release(desk.session, desk.who.user, uuid_of(case_id), now=desk.now)
    return RedirectResponse("/queue", 303)


@router.post("/pass")
def pass_on(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    reason = PassReason.DIALECT if form.one("reason") == PassReason.DIALECT.value else None
    review.pass_case(desk.session, desk.who.user, id_, reason=reason, now=desk.now)
    drafts.discard(desk.session, desk.who.user, id_)
    return RedirectResponse("/queue", 303)


@router.post("/judge")
def judge(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    try:
        with desk.session.begin_nested():
            review.judge_first(desk.session, desk.who.user, id_, forms.read_view(form), now=desk.now)
            drafts.discard(desk.session, desk.who.user, id_)
    except Incomplete as error:
        return _again(desk, case_id, form, error.errors)
    except InvalidInput as error:
        return _again(desk, case_id, form, forms.as_errors(error))
    return RedirectResponse(f"/cases/{id_}", 303)


@router.post("/decide")
def decide(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    try:
        outcome = forms.read_outcome(form)
        view = forms.read_view(form)
        grounds = None
        if outcome is Outcome.REFER:
            known = [str(recipient_id) for recipient_id, _ in queries.recipients(desk.session)]
            grounds = forms.read_grounds(form, known)
        with desk.session.begin_nested():
            review.decide(
                desk.session,
                desk.who.user,
                id_,
                view,
                outcome=outcome,
                reasons=form.one("reasons"),
                grounds=grounds,
                possible_child=forms.read_possible_child(form),
                now=desk.now,
            )
            together = _decide_copies(desk, id_, form, view, outcome)
            drafts.discard_all(desk.session, id_)
    except Incomplete as error:
        return _again(desk, case_id, form, error.errors)
    except (GateClosed, InvalidInput, Conflict) as error:
        if error.field is None:  # not about the form: the case is decided, or somebody else's
            raise
        return _again(desk, case_id, form, forms.as_errors(error))
    return RedirectResponse(f"/cases/{id_}" + (f"?together={together}" if together else ""), 303)


def _decide_copies(desk: Desk, case_id: UUID, form: Typed, view: View, outcome: Outcome) -> int:
    """The copies that the page listed, if the reader asked for them; returns how many were decided."""
    if form.one("together") != "yes":
        return 0
    listed = [uuid_of(value) for value in form.many("copy")]
    done = copies.decide_together(
        desk.session,
        desk.who.user,
        case_id,
        listed,
        view,
        outcome=outcome,
        reasons=form.one("reasons"),
        now=desk.now,
    )
    return len(done)


def _to(case: Case) -> Response:
    return RedirectResponse(f"/cases/{case.id}", 303)


def _again(desk: Desk, case_id: str, typed: Typed, errors: Sequence[FieldError]) -> Response:
    """The same page with what was typed, and what is wrong with it."""
    return show_desk(desk, uuid_of(case_id), typed=typed, errors=errors)


def _closed_page(desk: Desk, case: Case, together: int = 0) -> Response:
    """A case the visitor is not reading: how it stands, and no text."""
    mine = review.standing_decision(desk.session, desk.who.user, case.id)
    taken = case.lease_user_id is not None and case.lease_until is not None and case.lease_until >= desk.now
    return render(
        desk.request,
        "case_closed.html",
        who=desk.who,
        case=case,
        mine=mine,
        together=max(0, together),
        taken=taken,
        now=desk.now,
    )
