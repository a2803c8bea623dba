"""The scrutineer's pages: draw a sample, decide each case again without knowing how it was decided, compare."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParam
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from annotations import scrutiny
from annotations.pages import forms
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.forms import FieldError, Incomplete, Typed
from annotations.pages.minimal import minimal
from annotations.pages.rendering import render
from triage.accounts import SignedIn
from triage.deps import NowDep, SessionDep
from triage.domain.errors import InvalidInput

router = APIRouter(prefix="/scrutiny", include_in_schema=False)

SampleId = Annotated[str, PathParam(alias="sample_id")]
ItemId = Annotated[str, PathParam(alias="item_id")]


@router.get("")
def samples(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    return _samples(request, session, now, who)


@router.post("")
def draw(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    try:
        frame_from, frame_to, wanted = _read_frame(form, now)
        sample = scrutiny.draw(
            session, who.user, frame_from=frame_from, frame_to=frame_to, wanted=wanted, seed=form.one("seed"), now=now
        )
    except Incomplete as error:
        return _samples(request, session, now, who, typed=form, errors=error.errors)
    except InvalidInput as error:
        return _samples(request, session, now, who, typed=form, errors=forms.as_errors(error))
    return RedirectResponse(f"/scrutiny/{sample.id}", 303)


@router.get("/{sample_id}")
def sample(request: Request, session: SessionDep, who: Visitor, sample_id: SampleId) -> Response:
    found, rows = scrutiny.compared(session, who.user, uuid_of(sample_id, "sample"))
    return render(request, "scrutiny_sample.html", who=who, sample=found, rows=rows)


@router.get("/items/{item_id}")
def item(request: Request, session: SessionDep, now: NowDep, who: Visitor, item_id: ItemId) -> Response:
    return _item(request, session, who, item_id)


@router.post("/items/{item_id}")
def decide(request: Request, session: SessionDep, who: Visitor, form: CheckedForm, item_id: ItemId) -> Response:
    id_ = uuid_of(item_id, "item")
    try:
        view, outcome = forms.read_view(form), forms.read_outcome(form)
        with session.begin_nested():
            scrutiny.decide_again(session, who.user, id_, view, outcome, form.one("reasons"))
    except Incomplete as error:
        return _item(request, session, who, item_id, typed=form, errors=error.errors)
    except InvalidInput as error:
        return _item(request, session, who, item_id, typed=form, errors=forms.as_errors(error))
    return RedirectResponse(f"/scrutiny/items/{id_}", 303)


def _read_frame(typed: Typed, now: datetime) -> tuple[datetime, datetime, int]:
    """The days from first to last, both whole; today counts up to now. Raises Incomplete."""
    errors = []

    def day(name: str) -> datetime:
        try:
            return datetime.strptime(typed.one(name), "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            errors.append(FieldError(name, "Give a day"))
            return now

    frame_from, last = day("frame_from"), day("frame_to")
    if not typed.one("wanted").isdecimal():
        errors.append(FieldError("wanted", f"Give a number from 1 to {scrutiny.MOST}"))
    if errors:
        raise Incomplete(errors)
    after = last + timedelta(days=1)
    return frame_from, now if last.date() == now.date() else after, int(typed.one("wanted"))


def _samples(
    request: Request,
    session: Session,
    now: datetime,
    who: SignedIn,
    *,
    typed: Typed | None = None,
    errors: Sequence[FieldError] = (),
) -> Response:
    month = {"frame_from": [f"{now - timedelta(days=28):%Y-%m-%d}"], "frame_to": [f"{now:%Y-%m-%d}"], "wanted": ["10"]}
    return render(
        request,
        "scrutiny.html",
        who=who,
        status=422 if errors else 200,
        errors=list(errors),
        rows=scrutiny.samples(session, who.user),
        typed=typed or Typed(month),
        most=scrutiny.MOST,
    )


def _item(
    request: Request,
    session: Session,
    who: SignedIn,
    item_id: str,
    *,
    typed: Typed | None = None,
    errors: Sequence[FieldError] = (),
) -> Response:
    """The words, masked; and what was decided only beside what the scrutineer has said."""
    id_ = uuid_of(item_id, "item")
    material = scrutiny.read(session, who.user, id_)
    mine = scrutiny.reading_of(session, who.user, id_)
    return render(
        request,
        "scrutiny_item.html",
        who=who,
        status=422 if errors else 200,
        errors=list(errors),
        material=material,
        post=material,
        text=minimal(material.text or ""),
        mine=mine,
        decided=scrutiny.decided(session, who.user, id_),
        typed=typed or Typed(),
    )
