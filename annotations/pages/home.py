"""Signing in and out, the first page, the code book."""

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import follow_ups, review
from annotations.follow_ups import ROLES
from annotations.pages.access import CheckedForm, TypedDep, Visitor, check_same_site
from annotations.pages.forms import FieldError
from annotations.pages.rendering import render
from triage import accounts, queries
from triage.accounts import SignedIn
from triage.deps import SESSION_COOKIE, NowDep, SessionDep
from triage.domain import taxonomy
from triage.settings import current

router = APIRouter(include_in_schema=False)


def _own_path(target: str) -> str:
    """A path of this site, or the first page: a link to the sign-in page must not lead elsewhere."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "/") -> Response:
    return render(request, "sign_in.html", who=None, next=_own_path(next), username="")


@router.post("/sign-in")
def sign_in(request: Request, session: SessionDep, now: NowDep, typed: TypedDep) -> Response:
    check_same_site(request)
    settings = current()
    token = accounts.sign_in(
        session, username=typed.one("username"), password=typed.one("password"), now=now, hours=settings.session_hours
    )
    target = _own_path(typed.one("next"))
    if token is None:
        errors = [FieldError("username", "The username and password do not match, or the account is locked")]
        return render(
            request, "sign_in.html", who=None, status=422, errors=errors, next=target, username=typed.one("username")
        )
    answer = RedirectResponse(target, 303)
    answer.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=settings.session_hours * 3600,
        httponly=True,
        samesite="lax",
        secure=settings.https,
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, session: SessionDep, form: CheckedForm) -> Response:
    accounts.sign_out(session, request.cookies.get(SESSION_COOKIE, ""))
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@router.get("/")
def first_page(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    return render(
        request,
        "home.html",
        who=who,
        roles=who.user.roles,
        counts=queries.counts(session, now=now),
        held=review.holds(session, who.user, now=now),
        follow_ups=_follow_ups(session, who, now),
    )


def _follow_ups(session: Session, who: SignedIn, now: datetime) -> tuple[int, int] | None:
    """Open and overdue, of the kinds on this person's list; ``None`` for somebody who has no list."""
    kinds = [kind for kind, roles in ROLES.items() if {str(role) for role in roles} & set(who.user.roles)]
    return follow_ups.waiting(session, kinds, now=now) if kinds else None


@router.get("/code-book")
def code_book(request: Request, who: Visitor) -> Response:
    return render(request, "code_book.html", who=who, version=taxonomy.VERSION, policy_hidden=False)
