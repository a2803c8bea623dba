"""Templates, and the words and forms of times in which pages speak."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, select_autoescape

from annotations import wellbeing
from annotations.pages import keys, post_text
from annotations.pages.forms import FieldError
from triage.accounts import SignedIn
from triage.domain.lifecycle import Outcome
from triage.domain.priority import in_words
from triage.domain.routing import CURRENT
from triage.domain.taxonomy import CODES, CONTEXTS, Tier
from triage.domain.words import Role
from triage.settings import current

STATIC = Path(__file__).parent.parent / "static"

TIER_COLOURS = {Tier.P0: "red", Tier.P1: "orange", Tier.P2: "yellow", Tier.P3: "blue", Tier.P4: "grey"}

#: Menu: address, words, roles that see it.
_MENU = (
    ("/queue", "Queue", {Role.MODERATOR}),
    ("/wellbeing", "Your wellbeing", {Role.MODERATOR}),
    ("/second-readings", "Second readings", {Role.MODERATOR}),
    ("/safeguarding", "Safeguarding", {Role.SAFEGUARDING}),
    ("/follow-ups", "Follow-ups", {Role.MODERATOR, Role.APPROVER}),
    ("/scrutiny", "Scrutiny", {Role.SCRUTINEER}),
    ("/search", "Search", {Role.MODERATOR, Role.APPROVER, Role.SAFEGUARDING, Role.AUDITOR}),
    ("/approvals", "Approvals", {Role.APPROVER}),
    ("/questions", "Questions", {Role.APPROVER}),
    ("/incidents", "Incidents", {Role.APPROVER, Role.ADMIN}),
    ("/referrals", "Referrals", {Role.APPROVER}),
    ("/submissions", "Submissions", {Role.ANALYST}),
    ("/figures", "Figures", {Role.APPROVER, Role.AUDITOR, Role.SCRUTINEER, Role.ADMIN}),
    ("/given-up", "Given up", {Role.ADMIN}),
    ("/code-book", "Code book", set(Role)),
)


def _clock(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%-d %b %Y, %H:%M UTC")


def _due(deadline: datetime, now: datetime) -> str:
    late = now > deadline
    span = in_words(now - deadline if late else deadline - now)
    return f"Overdue by {span}" if late else f"Due in {span}"


def _plain_words(value: str) -> str:
    """``prevention_of_serious_violence`` as a person writes it."""
    return value.replace("_", " ").capitalize()


def _static_url(path: str) -> str:
    """The address of a static file; it changes when the file does, so that browsers may keep it."""
    file = STATIC / path
    version = f"?v={file.stat().st_mtime_ns // 1_000_000:x}" if file.exists() else ""
    return f"/static/{path}{version}"


def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("annotations"),
                PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")}),
            ]
        ),
        autoescape=select_autoescape(default=True, default_for_string=True),
        extensions=["jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": _clock,
        "due": _due,
        "words": _plain_words,
        "defanged": post_text.defanged,
        "masked": post_text.masked,
        "visible": post_text.plain,
    }
    environment.globals |= {
        "keys": keys,
        "CODES": CODES,
        "CONTEXTS": CONTEXTS,
        "Outcome": Outcome,
        "queue_titles": {queue.name: queue.title for queue in CURRENT.queues},
        "TIER_COLOURS": TIER_COLOURS,
        "static": _static_url,
        "support_contacts": wellbeing.support_contacts,
    }
    return environment


_environment_ = _environment()


def error_text(errors: list[FieldError], name: str) -> Mapping[str, str] | None:
    """The error message of one field, as the GOV.UK macros take it."""
    return next(({"text": error.message} for error in errors if error.field == name), None)


def render(request: Request, template: str, *, who: SignedIn | None, status: int = 200, **context: Any) -> HTMLResponse:
    """A page. ``who`` is the person it is for; the menu shows what their roles allow."""
    errors = context.setdefault("errors", [])
    roles = set(who.user.roles) if who else set()
    html = _environment_.get_template(template).render(
        who=who,
        csrf=who.csrf_token if who else "",
        menu=[(href, text) for href, text, allowed in _MENU if {str(role) for role in allowed} & roles],
        path=request.url.path,
        authority=current().authority_name,
        old_event_months=current().old_event_months,
        error_for=lambda name: error_text(errors, name),
        **context,
    )
    return HTMLResponse(html, status, {"Vary": "Cookie, HX-Request"})
