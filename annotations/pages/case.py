"""One case: read it, judge it, see the machine's view, decide.

What the machine said is neither queried nor rendered before the reader's own judgement is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import review
from annotations.pages import forms, post_text
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Incomplete, Typed
from annotations.pages.rendering import render
from triage import accounts, queries
from triage.accounts import SignedIn
from triage.db import Case, Judgement
from triage.deps import NowDep, SessionDep
from triage.domain import legal
from triage.domain.errors import Conflict, GateClosed, InvalidInput, NotFound
from triage.domain.lifecycle import CaseStatus, Outcome
from triage.domain.taxonomy import CODES
from triage.domain.words import Role
from triage.queries import MachineView

router = APIRouter(prefix="/cases/{case_id}", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every handler here needs."""

    request: Request
    session: Session
    now: datetime
    who: SignedIn


def get_desk(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Desk:
    accounts.require(who.user, Role.MODERATOR)
    return Desk(request, session, now, who)


DeskDep = Annotated[Desk, Depends(get_desk, scope="function")]


@router.get("")
def show(case_id: str, desk: DeskDep) -> Response:
    case = desk.session.get(Case, uuid_of(case_id))
    if case is None:
        raise NotFound("There is no such case")
    if case.status == CaseStatus.OPEN.value and case.lease_user_id == desk.who.user.id:
        return _desk_page(desk, case)
    return _closed_page(desk, case)


@router.post("/claim")
def claim(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    return _to(review.claim(desk.session, desk.who.user, uuid_of(case_id), now=desk.now))


@router.post("/extend")
def extend(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    return _to(review.extend(desk.session, desk.who.user, uuid_of(case_id), now=desk.now))


@router.post("/release")
def release(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    review.release(desk.session, desk.who.user, uuid_of(case_id), now=desk.now)
    return RedirectResponse("/queue", 303)


@router.post("/pass")
def pass_on(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    review.pass_case(desk.session, desk.who.user, uuid_of(case_id), now=desk.now)
    return RedirectResponse("/queue", 303)


@router.post("/judge")
def judge(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    try:
        with desk.session.begin_nested():
            review.judge_first(desk.session, desk.who.user, id_, forms.read_view(form), now=desk.now)
    except Incomplete as error:
        return _again(desk, case_id, form, error.errors)
    except InvalidInput as error:
        return _again(desk, case_id, form, forms.as_errors(error))
    return RedirectResponse(f"/cases/{id_}", 303)


@router.post("/decide")
def decide(case_id: str, desk: DeskDep, form: CheckedForm) -> Response:
    id_ = uuid_of(case_id)
    try:
        outcome = forms.read_outcome(form)
        view = forms.read_view(form)
        grounds = None
        if outcome is Outcome.REFER:
            known = [str(recipient_id) for recipient_id, _ in queries.recipients(desk.session)]
            grounds = forms.read_grounds(form, known)
        with desk.session.begin_nested():
            review.decide(
                desk.session,
                desk.who.user,
                id_,
                view,
                outcome=outcome,
                reasons=form.one("reasons"),
                grounds=grounds,
                possible_child=forms.read_possible_child(form),
                now=desk.now,
            )
    except Incomplete as error:
        return _again(desk, case_id, form, error.errors)
    except (GateClosed, InvalidInput, Conflict) as error:
        if error.field is None:  # not about the form: the case is decided, or somebody else's
            raise
        return _again(desk, case_id, form, forms.as_errors(error))
    return RedirectResponse(f"/cases/{id_}", 303)


def _to(case: Case) -> Response:
    return RedirectResponse(f"/cases/{case.id}", 303)


def _again(desk: Desk, case_id: str, typed: Typed, errors: Sequence[FieldError]) -> Response:
    """The same page with what was typed, and what is wrong with it."""
    case = desk.session.get(Case, uuid_of(case_id))
    if case is None or case.status != CaseStatus.OPEN.value or case.lease_user_id != desk.who.user.id:
        raise Conflict("You no longer hold this case")
    return _desk_page(desk, case, typed=typed, errors=errors)


def _desk_page(desk: Desk, case: Case, *, typed: Typed | None = None, errors: Sequence[FieldError] = ()) -> Response:
    review.read_case(desk.session, desk.who.user, case.id, now=desk.now)
    first = review.first_judgement(desk.session, desk.who.user, case.id)
    post = queries.read_post(desk.session, case)
    context: dict[str, Any] = {"text": post_text.plain(post.text or ""), "typed": typed or Typed()}
    if first is not None:
        context |= {"typed": typed or Typed.of_judgement(first)} | _revealed(desk, case, post.text or "", first)
    return render(
        desk.request,
        "case.html",
        who=desk.who,
        status=422 if errors else 200,
        errors=list(errors),
        now=desk.now,
        case=case,
        post=post,
        judged=first is not None,
        **context,
    )


def _revealed(desk: Desk, case: Case, text: str, first: Judgement) -> dict[str, Any]:
    """What may be shown once the reader has judged."""
    machine = queries.machine_view(desk.session, case.id)
    evidence = machine.evidence if machine else ()
    return {
        "text": post_text.marked(text, evidence),
        "notes": post_text.footnotes(text, evidence),
        "machine": machine,
        "comparison": compare(first.codes, machine),
        "earlier": queries.earlier_decisions(desk.session, case.id),
        "recipients": queries.recipients(desk.session),
        "legal_bases": legal.citable(desk.now.date()),
    }


@dataclass(frozen=True, slots=True)
class Compared:
    """One code as the person and the machine see it."""

    code: str
    title: str
    person: bool
    machine: bool
    probability: float | None
    words: str

    @property
    def kind(self) -> str:
        return "same" if self.person == self.machine else "differs"


def compare(person: Sequence[str], machine: MachineView | None) -> list[Compared]:
    """The codes that either named, the person's first."""
    proposed = set(machine.codes) if machine else set()
    rows = []
    for code in sorted(set(person) | proposed, key=lambda code: (code not in person, list(CODES).index(code))):
        both = code in person and code in proposed
        nothing = code not in (machine.labels if machine else {})  # "no violation" and "another owner" have no score
        words = "You agree" if both else "Only you" if code in person else "Only the machine"
        if nothing and not proposed:
            words = "It proposes nothing"
        rows.append(
            Compared(
                code=code,
                title=CODES[code].title,
                person=code in person,
                machine=code in proposed,
                probability=None if nothing or machine is None else machine.labels[code],
                words=words,
            )
        )
    return rows


def _closed_page(desk: Desk, case: Case) -> Response:
    """A case the visitor is not reading: how it stands, and no text."""
    mine = review.standing_decision(desk.session, desk.who.user, case.id)
    taken = case.lease_user_id is not None and case.lease_until is not None and case.lease_until >= desk.now
    return render(desk.request, "case_closed.html", who=desk.who, case=case, mine=mine, taken=taken, now=desk.now)
