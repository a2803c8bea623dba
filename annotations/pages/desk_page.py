"""The page on which a case is read, judged and decided, put together for its reader.

What the machine said is neither queried nor rendered before the reader's own judgement is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from annotations import copies, desk, review
from annotations.desk import DeskView, Opinions
from annotations.pages import post_text
from annotations.pages.access import Visitor
from annotations.pages.forms import FieldError, Typed
from annotations.pages.rendering import render
from triage import accounts, incidents, queries
from triage.accounts import SignedIn
from triage.db import Case, Judgement
from triage.deps import NowDep, SessionDep
from triage.domain import legal
from triage.domain.taxonomy import CODES
from triage.domain.words import Role, Stage
from triage.queries import MachineView


@dataclass(frozen=True, slots=True)
class Desk:
    """What every handler of a case needs."""

    request: Request
    session: Session
    now: datetime
    who: SignedIn


def get_desk(request: Request, session: SessionDep, now: NowDep, who: Visitor) -> Desk:
    accounts.require(who.user, Role.MODERATOR)
    return Desk(request, session, now, who)


DeskDep = Annotated[Desk, Depends(get_desk, scope="function")]


def show_desk(
    at: Desk,
    case_id: UUID,
    *,
    typed: Typed | None = None,
    reading: Typed | None = None,
    errors: Sequence[FieldError] = (),
    reports: int = 1,
) -> Response:
    """The page for whoever holds the case; the showing is recorded in the same transaction.

    Args:
        typed: what came with the view or the decision, where it comes back with errors.
        reading: what came with the reading of a term, likewise.
        reports: which page of the reports.

    Raises:
        IllegalTransition, LeaseLost: the case is no longer the visitor's.
    """
    case = review.read_case(at.session, at.who.user, case_id, now=at.now)
    first = review.first_judgement(at.session, at.who.user, case.id)
    post = desk.read_desk(at.session, at.who.user, case)
    stage = Stage.FINAL if first else Stage.FIRST
    draft = Typed(post.draft) if post.draft_stage is stage else None
    text = post.text or ""
    shown = text if post.handles_shown else post_text.mask_handles(text)
    context: dict[str, Any] = {"text": post_text.plain(shown), "typed": typed or draft or Typed()}
    if first is not None:
        context |= {"typed": typed or draft or Typed.of_judgement(first), "reading": reading or Typed()}
        context |= _revealed(at, case, post, shown, first)
    return render(
        at.request,
        "case.html",
        who=at.who,
        status=422 if errors else 200,
        errors=list(errors),
        now=at.now,
        case=case,
        post=post,
        stage=stage,
        draft_saved_at=post.draft_saved_at if draft and typed is None else None,
        handles_masked=shown != text,
        reports=desk.read_reports(at.session, case, page=reports),
        page=reports,
        pages=desk.report_pages(case),
        judged=first is not None,
        incidents=incidents.concerning(at.session, case, post.platform, now=at.now),
        **context,
    )


def _revealed(at: Desk, case: Case, post: DeskView, shown: str, first: Judgement) -> dict[str, Any]:
    """What may be shown once the reader has judged."""
    opinions: Opinions = desk.read_opinions(at.session, at.who.user, case)
    machine = opinions.machine
    evidence = machine.evidence if machine else ()
    return {
        "text": post_text.marked(shown, evidence),
        "notes": post_text.footnotes(shown, evidence),
        "machine": machine,
        "opinions": opinions,
        "comparison": compare(first.codes, machine),
        "copies": copies.like(at.session, case.post_id, post.text, now=at.now),
        "earlier": queries.earlier_decisions(at.session, case.id),
        "recipients": post.recipients,
        "legal_bases": legal.citable(at.now.date()),
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
