"""Who is at the page, and whether the form they send is one we gave them."""

import hmac
import uuid
from typing import Annotated

from fastapi import Depends, Request

from annotations.pages.forms import Typed
from triage import accounts
from triage.accounts import SignedIn
from triage.deps import SESSION_COOKIE, NowDep, SessionDep
from triage.domain.errors import Forbidden, NotFound


def get_visitor(request: Request, session: SessionDep, now: NowDep) -> SignedIn:
    """Raises NotAuthenticated; the answer is then the sign-in page."""
    who = accounts.signed_in(session, request.cookies.get(SESSION_COOKIE, ""), now=now)
    # Apart from the session, so that a page which says why a request was rolled back still knows whom it speaks to.
    session.expunge(who.user)
    request.state.who = who
    return who


Visitor = Annotated[SignedIn, Depends(get_visitor, scope="function")]


async def get_typed(request: Request) -> Typed:
    async with request.form() as form:
        return Typed.of(form)


TypedDep = Annotated[Typed, Depends(get_typed)]


def get_checked(request: Request, who: Visitor, typed: TypedDep) -> Typed:
    """A form that carries its session's token, in a field or in the header that htmx sends.

    Raises:
        Forbidden: it does not.
    """
    token = request.headers.get("X-CSRF-Token") or typed.one("csrf_token")
    if not hmac.compare_digest(token.encode(), who.csrf_token.encode()):
        raise Forbidden("The page is out of date: reload it and try again", field="csrf_token")
    return typed


CheckedForm = Annotated[Typed, Depends(get_checked, scope="function")]


def check_same_site(request: Request) -> None:
    """For the one form that has no session yet. Raises Forbidden when another site sent it."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("Open the sign-in page itself and try again")


def uuid_of(value: str, what: str = "case") -> uuid.UUID:
    """An id from an address. Raises NotFound when it cannot be one."""
    try:
        return uuid.UUID(value)
    except ValueError:
        raise NotFound(f"There is no such {what}") from None
