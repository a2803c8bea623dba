"""The operator's page: what was given up, why and how often, and a button that has it tried again."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.rendering import render
from triage import accounts, dead_letters
from triage.deps import NowDep, SessionDep
from triage.domain.errors import Conflict
from triage.domain.words import Role

router = APIRouter(prefix="/given-up", include_in_schema=False)

_ON_A_PAGE = 50


@router.get("")
def given_up(
    request: Request,
    session: SessionDep,
    who: Visitor,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    again: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    accounts.require(who.user, Role.ADMIN)
    total = dead_letters.count(session)
    rows = dead_letters.listed(session, limit=_ON_A_PAGE, offset=(page - 1) * _ON_A_PAGE)
    pages = max(1, -(-total // _ON_A_PAGE))
    return render(
        request,
        "given_up.html",
        who=who,
        rows=rows,
        total=total,
        page=page,
        pages=pages,
        again=again,
        at_once=dead_letters.AT_ONCE,
    )


@router.post("/retry-all")
def retry_all(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, Role.ADMIN)
    done = dead_letters.retry_all(session, accounts.actor_of(who.user), now=now)
    return RedirectResponse(f"/given-up?again={done}", 303)


@router.post("/{letter_id}/retry")
def retry(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, letter_id: str) -> Response:
    accounts.require(who.user, Role.ADMIN)
    try:
        dead_letters.retry(session, accounts.actor_of(who.user), uuid_of(letter_id, "line"), now=now)
    except Conflict:  # two people, or one who pressed twice: it is done
        return RedirectResponse("/given-up?again=0", 303)
    return RedirectResponse("/given-up?again=1", 303)
