"""Finding cases. What is asked for travels in the body of a request, never in an address, where logs would keep it."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts, case_search
from triage.accounts import SignedIn
from triage.case_search import MAY_SEARCH, MAY_SEARCH_WORDS, Found
from triage.deps import SessionDep
from triage.domain.errors import InvalidInput
from triage.domain.words import Purpose, Role

router = APIRouter(prefix="/search", include_in_schema=False)


@router.get("")
def empty(request: Request, who: Visitor) -> Response:
    accounts.require(who.user, *MAY_SEARCH)
    return _page(request, who, Typed(), None)


@router.post("")
def found(request: Request, session: SessionDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, *MAY_SEARCH)
    known = [str(purpose) for purpose in Purpose]
    purpose = Purpose(form.one("purpose")) if form.one("purpose") in known else None
    in_posts = form.one("in_posts") == "yes"
    try:
        rows = case_search.search(session, who.user, form.one("q"), in_posts=in_posts, purpose=purpose)
    except InvalidInput as error:
        return _page(request, who, form, None, forms.as_errors(error))
    return _page(request, who, form, rows)


def _page(
    request: Request,
    who: SignedIn,
    typed: Typed,
    rows: Sequence[Found] | None,
    errors: list[FieldError] | None = None,
) -> Response:
    roles = set(who.user.roles)
    return render(
        request,
        "search.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        typed=typed,
        rows=rows,
        most=case_search.MOST,
        may_open=Role.MODERATOR.value in roles,
        may_search_words=bool({str(role) for role in MAY_SEARCH_WORDS} & roles),
        purposes=list(Purpose),
    )
