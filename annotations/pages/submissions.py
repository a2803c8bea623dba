"""The analyst's pages: submit one address with its purpose, and see what became of the earlier ones."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts, capture
from triage.accounts import SignedIn
from triage.capture import NewSubmission
from triage.deps import NowDep, SessionDep
from triage.domain.errors import InvalidInput
from triage.domain.words import Purpose, Role
from triage.settings import current

router = APIRouter(prefix="/submissions", include_in_schema=False)

_PURPOSES = {
    Purpose.PREVENTION_OF_SERIOUS_VIOLENCE: ("Prevention of serious violence", ""),
    Purpose.SAFEGUARDING: ("Safeguarding", "Somebody may be at risk."),
    Purpose.THREAT_TO_LIFE: ("Threat to life", "Goes ahead of everything else. Phone the control room as well."),
}
_MODES = {
    "police_open_source": "Seen in open sources, without signing in anywhere",
    "police_tasking": "Tasked, for an operation",
}
#: What to say instead of the validator's words.
_MISSING = {
    "url": "Give the address of the post",
    "purpose": "Choose the purpose",
    "acquisition_mode": "Say how you came by the post",
    "force_code": "Give your force's code",
    "operation_ref": "Give the operation or incident it belongs to",
    "necessity": "Say in a sentence why this page is needed",
    "proportionality": "Say in a sentence why nothing less would do",
    "collateral_intrusion": "Say in a sentence who else the page shows",
}


@router.get("")
def own(request: Request, session: SessionDep, who: Visitor, sent: int | None = None) -> Response:
    accounts.require(who.user, Role.ANALYST)
    rows = capture.own_submissions(session, who.user, limit=100)
    return render(request, "submissions.html", who=who, rows=rows, sent=sent)


@router.get("/new")
def new(request: Request, who: Visitor) -> Response:
    accounts.require(who.user, Role.ANALYST)
    return _form(request, who, Typed())


@router.post("/new")
def submit(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    accounts.require(who.user, Role.ANALYST)
    if missing := [FieldError(name, words) for name, words in _MISSING.items() if not form.one(name)]:
        return _form(request, who, form, missing)
    try:
        with session.begin_nested():
            submission = capture.parse({name: form.one(name) for name in NewSubmission.model_fields if form.one(name)})
            accepted = capture.submit_url(session, who.user, submission, now=now)
    except InvalidInput as error:
        return _form(request, who, form, forms.as_errors(error))
    return RedirectResponse(f"/submissions?sent={accepted.case_number}", 303)


def _form(request: Request, who: SignedIn, typed: Typed, errors: list[FieldError] | None = None) -> Response:
    return render(
        request,
        "submit.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        typed=typed,
        purposes=_PURPOSES,
        modes=_MODES,
        hosts=sorted(current().allowed_hosts),
    )
