"""Low-risk posts read together: choose a range, read a sample of it, decide what is left in, undo."""

import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from annotations import batches
from annotations.figures import charts
from annotations.pages import forms, post_text
from annotations.pages.access import CheckedForm, Visitor, uuid_of
from annotations.pages.rendering import render
from triage import accounts
from triage.accounts import SignedIn
from triage.db.batches import MOST
from triage.deps import NowDep, SessionDep
from triage.domain.errors import InvalidInput
from triage.domain.words import Role

router = APIRouter(prefix="/batches", include_in_schema=False)


@router.get("")
def choose(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Response:
    return _choose(request, session, now, who)


@router.post("")
def draw(request: Request, session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm) -> Response:
    try:
        batch = batches.draw(session, who.user, _low(form.one("range")), now=now)
    except InvalidInput as error:
        return _choose(request, session, now, who, errors=forms.as_errors(error))
    return RedirectResponse(f"/batches/{batch.id}", 303)


@router.get("/{batch_id}")
def show(request: Request, session: SessionDep, now: NowDep, who: Visitor, batch_id: str) -> Response:
    batch = batches.own(session, who.user, uuid_of(batch_id, "batch"))
    context: dict[str, Any] = {"batch": batch, "undo_minutes": batches.UNDO.seconds // 60}
    if batch.decided_at is None:
        context["rows"] = [(row, post_text.plain(row.text)) for row in batches.read(session, who.user, batch, now=now)]
    else:
        context["may_undo"] = (
            batch.undone_at is None and bool(batch.decided_ids) and now <= batch.decided_at + batches.UNDO
        )
    return render(request, "batch.html", who=who, **context)


@router.post("/{batch_id}/decide")
def decide(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, batch_id: str) -> Response:
    keep_out = [uuid_of(value) for value in form.many("keep_out")]
    batch = batches.decide(session, who.user, uuid_of(batch_id, "batch"), keep_out=keep_out, now=now)
    return RedirectResponse(f"/batches/{batch.id}", 303)


@router.post("/{batch_id}/undo")
def undo(session: SessionDep, now: NowDep, who: Visitor, form: CheckedForm, batch_id: str) -> Response:
    id_: uuid.UUID = uuid_of(batch_id, "batch")
    batches.undo(session, who.user, id_, now=now)
    return RedirectResponse(f"/batches/{id_}", 303)


def _low(typed: str) -> float:
    """The lower end of the range. Raises InvalidInput."""
    try:
        return int(typed) / 100
    except ValueError:
        raise InvalidInput("Choose one of the ranges", field="range") from None


def _choose(
    request: Request, session: SessionDep, now: NowDep, who: SignedIn, *, errors: list[forms.FieldError] | None = None
) -> Response:
    accounts.require(who.user, Role.MODERATOR)
    counts = batches.distribution(session, now=now)
    rows = {f"{low:.0%} to {high:.0%}": n for (low, high), n in counts.items()}
    return render(
        request,
        "batches.html",
        who=who,
        status=422 if errors else 200,
        errors=errors or [],
        ranges=[(round(low * 100), words, n) for ((low, _), n), words in zip(counts.items(), rows, strict=True)],
        chart=charts.bars(rows, "Cases of low risk by range of risk"),
        most=MOST,
    )
