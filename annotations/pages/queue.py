"""The list of what waits, and the button that takes the next case. No post text is shown here."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from annotations import review
from annotations.pages.access import CheckedForm, Visitor
from annotations.pages.rendering import render
from triage import accounts, queries
from triage.deps import NowDep, SessionDep
from triage.domain.words import Role

router = APIRouter(include_in_schema=False)


@router.get("/queue")
def queue(request: Request, session: SessionDep, now: NowDep, who: Visitor, empty: bool = False) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    return render(
        request,
        "queue.html",
        who=who,
        now=now,
        nothing_left=empty,
        total=queries.open_count(session),
        counted=queries.COUNTED,
        rows=queries.queue(session, who.user, now=now),
    )


@router.post("/queue/next")
def review_next(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    case = review.claim_next(session, who.user, now=now)
    return RedirectResponse("/queue?empty=1" if case is None else f"/cases/{case.id}", 303)
