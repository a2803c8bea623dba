"""The approver: referrals that wait, one beside its case; send, return, reject; sent ones to download or recall."""

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParam
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import second_reading
from annotations.pages import post_text
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts, queries, referral
from triage.accounts import SignedIn
from triage.db import Referral
from triage.deps import NowDep, SessionDep
from triage.domain.errors import Forbidden, InvalidInput, NotFound
from triage.domain.words import ReferralStatus, Role
from triage.queries import ReferralDetail

router = APIRouter(include_in_schema=False)

ReferralId = Annotated[str, PathParam(alias="referral_id")]
#: What an approver has to tick, every time: nothing is ticked beforehand.
CHECKLIST = {
    "checked_reading": "I have read the post and its context myself, and I read it as the decision does",
    "checked_facts": "Facts are facts, and assessments are marked as such",
    "checked_child": "Whether a child is concerned was asked first, and I agree with the answer",
    "checked_necessity": "It is necessary and proportionate, and nothing less would do",
    "checked_document": "The document holds nothing that the recipient does not need",
}
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
    missing = [name for name in CHECKLIST if form.one(name) != "yes"]
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


@router.post("/approvals/{referral_id}/refuse")
def refuse(
    request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, referral_id: ReferralId
) -> Response:
    """For good: nothing leaves, the case is closed."""
    detail = _pending(session, who, referral_id)
    if not form.one("note"):
        errors = [FieldError("note", "Say why nothing leaves")]
        return _page(request, session, now, who, detail, typed=form, errors=errors)
    referral.refuse(session, who.user, detail.referral.id, note=form.one("note"))
    return RedirectResponse("/approvals", 303)


@router.get("/referrals")
def referrals(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    accounts.require(who.user, Role.APPROVER)
    return render(request, "referrals.html", who=who, rows=queries.referrals(session, who.user, _SENT), now=now)


@router.get("/referrals/{referral_id}/recall")
def recall_page(request: Request, session: SessionDep, who: Visitor, referral_id: ReferralId) -> Response:
    return _recall_page(request, session, who, referral_id)


@router.post("/referrals/{referral_id}/recall")
def recall(request: Request, session: SessionDep, who: Visitor, form: CheckedForm, referral_id: ReferralId) -> Response:
    accounts.require(who.user, Role.APPROVER)
    if not form.one("note"):
        errors = [FieldError("note", "Say why it is recalled")]
        return _recall_page(request, session, who, referral_id, typed=form, errors=errors)
    referral.recall(session, who.user, uuid_of(referral_id, "referral"), note=form.one("note"))
    return RedirectResponse("/referrals", 303)


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
        Forbidden: the visitor reviewed, read or submitted it, or is no approver.
        NotFound: there is none, or it does not wait any more.
    """
    accounts.require(who.user, Role.APPROVER)
    detail = queries.referral_detail(session, uuid_of(referral_id, "referral"))
    if detail is None or detail.referral.status != ReferralStatus.PENDING_APPROVAL.value:
        raise NotFound("There is no such referral waiting for approval")
    row = detail.referral
    if who.user.id in (row.reviewer_id, row.second_reader_id, *row.submitter_ids):
        raise Forbidden("You reviewed, read or submitted this: somebody else has to approve it")
    return detail


def _outgoing(session: Session, now: datetime, who: SignedIn, detail: ReferralDetail) -> str:
    """The document that would leave; or why it cannot, which a rule made since the decision may be."""
    try:
        document = referral.preview(session, who.user, detail.referral.id, now=now)
    except InvalidInput as error:
        return f"It cannot leave as it is ({error.field}): {error.detail}. Return it to the queue."
    return json.dumps(document, indent=2, ensure_ascii=True)


def _recall_page(
    request: Request,
    session: Session,
    who: SignedIn,
    referral_id: str,
    *,
    typed: Typed | None = None,
    errors: list[FieldError] | None = None,
) -> Response:
    """What is about to be recalled: no words of the post."""
    accounts.require(who.user, Role.APPROVER)
    detail = queries.referral_detail(session, uuid_of(referral_id, "referral"))
    if detail is None or detail.referral.status not in (ReferralStatus.APPROVED, ReferralStatus.COLLECTED):
        raise NotFound("There is no such referral to recall")
    status = 422 if errors else 200
    given = typed or Typed()
    return render(request, "recall.html", who=who, status=status, errors=errors or [], typed=given, detail=detail)


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
    outgoing = _outgoing(session, now, who, detail)  # records the reading
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
        readings=second_reading.given_for(session, detail.referral.id),
        because=second_reading.why(session, detail.referral),
        CHECKLIST=CHECKLIST,
        outgoing=outgoing,
    )
