"""The second reader's pages: what waits, one post without its decision, then the decision, to agree with or not."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as PathParam
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import second_reading
from annotations.pages import forms, post_text
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Incomplete, Typed
from annotations.pages.rendering import render
from triage import queries
from triage.accounts import SignedIn
from triage.deps import NowDep, SessionDep
from triage.domain.errors import InvalidInput

router = APIRouter(prefix="/second-readings", include_in_schema=False)

ReferralId = Annotated[str, PathParam(alias="referral_id")]


@router.get("")
def waiting(request: Request, session: SessionDep, now: NowDep, who: Visitor, sent: str = "") -> Response:
    rows = second_reading.waiting(session, who.user)
    return render(request, "second_readings.html", who=who, rows=rows, now=now, sent=sent)


@router.get("/{referral_id}")
def read(request: Request, session: SessionDep, now: NowDep, who: Visitor, referral_id: ReferralId) -> Response:
    return _page(request, session, now, who, referral_id)


@router.post("/{referral_id}/judge")
def judge(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, referral_id: ReferralId
) -> Response:
    id_ = uuid_of(referral_id, "referral")
    try:
        view = forms.read_view(form)
        with session.begin_nested():
            second_reading.judge(session, who.user, id_, view, forms.read_possible_child(form))
    except Incomplete as error:
        return _page(request, session, now, who, referral_id, typed=form, errors=error.errors)
    except InvalidInput as error:
        return _page(request, session, now, who, referral_id, typed=form, errors=forms.as_errors(error))
    return RedirectResponse(f"/second-readings/{id_}", 303)


@router.post("/{referral_id}/answer")
def answer(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, referral_id: ReferralId
) -> Response:
    id_ = uuid_of(referral_id, "referral")
    errors = [] if form.one("agrees") in ("yes", "no") else [FieldError("agrees", "Say whether you agree")]
    if not form.one("reasons"):
        errors.append(FieldError("reasons", "Write why you agree, or why not"))
    if errors:
        return _page(request, session, now, who, referral_id, typed=form, errors=errors)
    agrees = form.one("agrees") == "yes"
    try:
        with session.begin_nested():
            second_reading.answer(session, who.user, id_, agrees=agrees, reasons=form.one("reasons"), now=now)
    except InvalidInput as error:
        return _page(request, session, now, who, referral_id, typed=form, errors=forms.as_errors(error))
    return RedirectResponse(f"/second-readings?sent={'on' if agrees else 'back'}", 303)


def _page(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    referral_id: str,
    *,
    typed: Typed | None = None,
    errors: Sequence[FieldError] = (),
) -> Response:
    """The post, and nothing of the decision before the reader has said what they see."""
    id_ = uuid_of(referral_id, "referral")
    case, row = second_reading.read(session, who.user, id_)
    mine = second_reading.reading_of(session, who.user, id_)
    post = queries.read_post(session, case)
    revealed: dict[str, Any] = {}
    if mine is not None:
        detail = queries.referral_detail(session, id_)
        assert detail is not None  # read above
        revealed = {"detail": detail, "grounds": detail.grounds, "because": second_reading.why(session, row)}
    return render(
        request,
        "second_reading.html",
        who=who,
        status=422 if errors else 200,
        errors=list(errors),
        now=now,
        case=case,
        row=row,
        post=post,
        text=post_text.plain(post_text.mask_handles(post.text or "")),
        mine=mine,
        typed=typed or Typed(),
        **revealed,
    )
