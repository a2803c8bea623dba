"""``triage demo``: accounts, partners and invented posts to try the service with.

Everything goes in through the doors a real installation uses. Running it again adds nothing.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from triage import accounts, audit, intake
from triage.db import Partner, User
from triage.db.session import transaction
from triage.domain.words import Lane, PartnerKind, Role
from triage.intake import Reporter
from triage.new_report import from_json, parse

_ACTOR = audit.system("demonstration")


@dataclass(frozen=True, slots=True)
class _Person:
    username: str
    name: str
    roles: tuple[Role, ...]


PEOPLE = (
    _Person("morgan", "Morgan (moderator)", (Role.MODERATOR,)),
    _Person("sasha", "Sasha (moderator)", (Role.MODERATOR,)),
    _Person("alex", "Alex (police analyst)", (Role.ANALYST,)),
    _Person("ada", "Ada (approver)", (Role.APPROVER,)),
    _Person("sid", "Sid (safeguarding lead)", (Role.SAFEGUARDING,)),
    _Person("quinn", "Quinn (scrutineer)", (Role.SCRUTINEER,)),
    _Person("indra", "Indra (auditor)", (Role.AUDITOR,)),
    _Person("noor", "Noor (administrator)", (Role.ADMIN,)),
)
#: The first one reports the demonstration posts; all of them can receive referrals.
PARTNERS = (
    ("Chirper", PartnerKind.PLATFORM),
    ("Picstream", PartnerKind.PLATFORM),
    ("Northvale Constabulary", PartnerKind.FORCE),
    ("Harbour Youth Support", PartnerKind.CHARITY),
)


def load() -> None:
    """Add what is missing, and print new passwords and keys: this once, they are not kept."""
    now = datetime.now(UTC)
    with transaction() as session:
        passwords = {person.username: password for person in PEOPLE if (password := _add_person(session, person))}
        keys = {name: key for name, kind in PARTNERS if (key := _add_partner(session, name, kind, now))}
        reports = _report_posts(session, now)
    if passwords or keys:
        _print_once(passwords, keys)
    if reports:
        typer.echo(f"{reports} invented reports accepted.")


def _add_person(session: Session, person: _Person) -> str | None:
    if session.scalar(select(User.id).where(User.username == person.username)):
        return None
    password = secrets.token_urlsafe(12)
    accounts.create_user(
        session,
        _ACTOR,
        username=person.username,
        display_name=person.name,
        password=password,
        roles=person.roles,
    )
    return password


def _add_partner(session: Session, name: str, kind: PartnerKind, now: datetime) -> str | None:
    if session.scalar(select(Partner.id).where(Partner.name == name)):
        return None
    partner = accounts.create_partner(session, _ACTOR, name=name, kind=kind)
    return accounts.issue_key(session, _ACTOR, partner.id, now=now)


def _report_posts(session: Session, now: datetime) -> int:
    """How many reports were new."""
    lines = files("workers").joinpath("demo_reports.jsonl").read_text(encoding="utf-8").splitlines()
    reports = [parse(from_json(line)) for line in lines]
    partner = session.scalars(select(Partner).where(Partner.name == PARTNERS[0][0])).one()
    reporter = Reporter(accounts.partner_actor(partner), partner=partner)
    answers = intake.accept_reports(session, reporter, reports, lane=Lane.LIVE, now=now)
    return sum(not answer.duplicate for answer in answers)


def _print_once(passwords: dict[str, str], keys: dict[str, str]) -> None:
    typer.echo("Demonstration accounts (printed this once; they are not kept):")
    for person in PEOPLE:
        if person.username in passwords:
            typer.echo(f"  {person.name:<26} {person.username:<8} {passwords[person.username]}")
    typer.echo("API keys of the demonstration partners (printed this once):")
    for name, key in keys.items():
        typer.echo(f"  {name:<26} {key}")
