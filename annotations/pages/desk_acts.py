"""What a reader does at the desk beside judging and deciding: verdicts on reasons, readings, handles, drafts."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from annotations import drafts, glosses, reasons, review
from annotations.desk import HANDLES_SHOWN
from annotations.glosses import Reading
from annotations.pages import forms
from annotations.pages.access import CheckedForm, uuid_of
from annotations.pages.desk_page import DeskDep, show_desk
from annotations.pages.rendering import render
from annotations.reasons import Reason
from triage import accounts, audit
from triage.audit import Entry
from triage.domain.desk import Confidence, Verdict
from triage.domain.errors import IllegalTransition, InvalidInput, LeaseLost
from triage.domain.words import Operation

router = APIRouter(prefix="/cases/{case_id}", include_in_schema=False)


@router.post("/reason")
def judge_reason(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    try:
        verdict = Verdict(form.one("verdict"))
    except ValueError:
        raise InvalidInput("Say right or wrong", field="verdict") from None
    reasons.judge_reason(
        desk.session,
        desk.who.user,
        id_,
        uuid_of(form.one("scores_id"), "reason"),
        Reason.parse(form.one("reason")),
        verdict,
        now=desk.now,
    )
    return RedirectResponse(f"/cases/{id_}#machine", 303)


@router.post("/reading")
def add_reading(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    reading = Reading(
        term=form.one("term"),
        reading=form.one("reading"),
        alternatives=tuple(line.strip() for line in form.one("alternatives").splitlines() if line.strip()),
        confidence=forms.one_of(form, "confidence", Confidence, Confidence.GUESS),
        disputes=uuid_of(form.one("disputes"), "reading") if form.one("disputes") else None,
    )
    try:
        with desk.session.begin_nested():
            glosses.add_reading(desk.session, desk.who.user, id_, reading, now=desk.now)
    except InvalidInput as error:
        return show_desk(desk, id_, reading=form, errors=forms.as_errors(error))
    return RedirectResponse(f"/cases/{id_}#readings", 303)


@router.post("/handles")
def show_handles(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    """The handles in the text, for this reader from now on. Asking is an event of its own."""
    id_ = uuid_of(case_id)
    review.held_case(desk.session, desk.who.user, id_, desk.now)
    entry = Entry(Operation.CONSULTATION, HANDLES_SHOWN, "case", str(id_), case_id=id_)
    audit.record(desk.session, accounts.actor_of(desk.who.user), entry)
    return RedirectResponse(f"/cases/{id_}", 303)


@router.post("/draft")
def save_draft(request: Request, case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    """A page that saves by itself gets one line back; a button, the case as it stands."""
    id_ = uuid_of(case_id)
    by_itself = "HX-Request" in request.headers and "HX-Boosted" not in request.headers
    try:
        kept = drafts.save(desk.session, desk.who.user, id_, form.values, now=desk.now)
    except (IllegalTransition, LeaseLost):
        if by_itself:  # the decision overtook it: there is nothing left to keep
            return Response(status_code=204)
        raise
    if not by_itself:
        return RedirectResponse(f"/cases/{id_}", 303)
    if not kept:
        return Response(status_code=204)
    return render(request, "draft_saved.html", who=desk.who, saved_at=desk.now)
