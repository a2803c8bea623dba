"""What a request needs: a session that commits before the answer leaves, and who is asking.

Whoever asks by key or cookie at the API is looked up in a transaction of its own, so that no connection is held
while the body is on its way. The request's session opens its connection when it is first used.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from triage import accounts
from triage.accounts import SignedIn
from triage.db import Partner, clock
from triage.db.session import transaction
from triage.domain.errors import Forbidden, NotAuthenticated

SESSION_COOKIE = "triage_session"


def get_session() -> Iterator[Session]:
    with transaction() as session:
        yield session


#: scope="function": the commit happens before the client has its answer; without it, after.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]


def get_now() -> datetime:
    """By the database's clock, so that a lease means the same on every host."""
    return clock.now()


NowDep = Annotated[datetime, Depends(get_now)]


def get_partner(authorization: Annotated[str | None, Header()] = None) -> Partner:
    """The partner whose key came with the request, detached from any session. Raises NotAuthenticated."""
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise NotAuthenticated("Send your API key as `Authorization: Bearer <key>`", field="Authorization")
    with transaction() as session:
        return accounts.partner_of_key(session, key.strip())


PartnerDep = Annotated[Partner, Depends(get_partner)]


def get_signed_in(request: Request, now: NowDep) -> SignedIn:
    """Who is signed in at this browser, detached. A request that changes something carries the session's CSRF token.

    Raises:
        NotAuthenticated: nobody.
        Forbidden: the token is missing or wrong.
    """
    with transaction() as session:
        who = accounts.signed_in(session, request.cookies.get(SESSION_COOKIE, ""), now=now)
    if request.method not in ("GET", "HEAD") and request.headers.get("X-CSRF-Token") != who.csrf_token:
        raise Forbidden("The page is out of date; reload it and try again", field="csrf_token")
    return who


SignedInDep = Annotated[SignedIn, Depends(get_signed_in, scope="function")]
