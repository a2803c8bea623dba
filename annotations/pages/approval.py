"""The second person: referrals that wait, one beside its case, approve or send back; approved ones to download."""

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParam
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations.pages import post_text
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts, queries, referral
from triage.accounts import SignedIn
from triage.db import Referral
from triage.deps import NowDep, SessionDep
from triage.domain.errors import Forbidden, NotFound
from triage.domain.words import ReferralStatus, Role
from triage.queries import ReferralDetail

router = APIRouter(include_in_schema=False)

ReferralId = Annotated[str, PathParam(alias="referral_id")]
_SENT = (ReferralStatus.APPROVED, ReferralStatus.COLLECTED, ReferralStatus.RECALLED)


@router.get("/approvals")
def approvals(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    accounts.require(who.user, Role.APPROVER)
    rows = queries.referrals(session, who.user, [ReferralStatus.PENDING_APPROVAL])
    return render(request, "approvals.html", who=who, rows=rows, now=now)


@router.get("/approvals/{referral_id}")
def approval(request: Request, session: SessionDep, now: NowDep, who: Visitor, referral_id: ReferralId) -> Response:
    return _page(request, session, now, who, _pending(session, who, referral_id))


@router.post("/approvals/{referral_id}/approve")
def approve(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, referral_id: ReferralId
) -> Response:
    detail = _pending(session, who, referral_id)
    missing = [name for name in ("checked_reading", "checked_necessity") if form.one(name) != "yes"]
    if missing:
        errors = [FieldError(name, "Tick this before you approve") for name in missing]
        return _page(request, session, now, who, detail, typed=form, errors=errors)
    referral.approve(session, who.user, detail.referral.id, now=now)
    return RedirectResponse("/referrals", 303)


@router.post("/approvals/{referral_id}/reject")
def reject(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, referral_id: ReferralId
) -> Response:
    detail = _pending(session, who, referral_id)
    if not form.one("note"):
        errors = [FieldError("note", "Say why, so that the next reviewer knows")]
        return _page(request, session, now, who, detail, typed=form, errors=errors)
    referral.reject(session, who.user, detail.referral.id, note=form.one("note"), now=now)
    return RedirectResponse("/approvals", 303)


@router.get("/referrals")
def referrals(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    accounts.require(who.user, Role.APPROVER)
    return render(request, "referrals.html", who=who, rows=queries.referrals(session, who.user, _SENT), now=now)


@router.get("/referrals/{referral_id}/export")
def export(session: SessionDep, who: Visitor, referral_id: ReferralId, format: str = "json") -> Response:
    """The approved file; the disclosure is logged with it."""
    accounts.require(who.user, Role.APPROVER)
    found = session.get(Referral, uuid_of(referral_id, "referral"))
    if found is None:
        raise NotFound("There is no such referral")
    file = referral.export(session, accounts.actor_of(who.user), found, format)
    headers = {"Content-Disposition": f'attachment; filename="{file.filename}"', "X-Content-SHA256": file.sha256}
    return Response(file.content, media_type=file.media_type, headers=headers)


def _pending(session: Session, who: SignedIn, referral_id: str) -> ReferralDetail:
    """A referral that waits, for somebody who may approve it.

    Raises:
        Forbidden: the visitor reviewed or submitted it, or is no approver.
        NotFound: there is none, or it does not wait any more.
    """
    accounts.require(who.user, Role.APPROVER)
    detail = queries.referral_detail(session, uuid_of(referral_id, "referral"))
    if detail is None or detail.referral.status != ReferralStatus.PENDING_APPROVAL.value:
        raise NotFound("There is no such referral waiting for approval")
    if who.user.id == detail.referral.reviewer_id or who.user.id in detail.referral.submitter_ids:
        raise Forbidden("You reviewed or submitted this: somebody else has to approve it")
    return detail


def _page(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    detail: ReferralDetail,
    *,
    typed: Typed | None = None,
    errors: list[FieldError] | None = None,
) -> Response:
    outgoing = referral.preview(session, who.user, detail.referral.id, now=now)  # records the reading
    post = queries.read_post(session, detail.case)
    return render(
        request,
        "approval.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        typed=typed or Typed(),
        detail=detail,
        case=detail.case,
        post=post,
        text=post_text.plain(post.text or ""),
        outgoing=json.dumps(outgoing, indent=2, ensure_ascii=True),
    )
