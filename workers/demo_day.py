"""``triage demo-day``: a working day on invented posts, for people who want to see the service move.

Two partners report, an analyst submits, three moderators read, judge and decide, an approver approves, a partner
collects. They do it through the pages and the API of a running installation, one after the other, so that somebody who
has a page open sees it change. The accounts are made for the day, with passwords that nobody keeps.
"""

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import typer
from sqlalchemy.orm import Session

from annotations.pages.approval import CHECKLIST
from triage import accounts, audit
from triage.db.session import transaction
from triage.domain.errors import Unavailable
from triage.domain.words import PartnerKind, Role
from workers.demo_visitors import Person, Sender, ask

_ACTOR = audit.system("demonstration")
_PEOPLE = (
    ("Morgan", Role.MODERATOR),
    ("Sasha", Role.MODERATOR),
    ("Kit", Role.MODERATOR),
    ("Alex", Role.ANALYST),
    ("Ada", Role.APPROVER),
)
_REFERRAL = re.compile(r'href="/approvals/([0-9a-f-]{36})"')
#: How long a case may take from report to open: a worker that starts has to load its model first.
_PATIENCE_SECONDS = 180.0
_HARMLESS = {"codes": ["BEN"]}
_THREAT = {
    "codes": ["TTL"],
    "speech_act": "threat",
    "target": "named_or_identifiable_person",
    "imminence": "near",
}


def run(home: str, *, pace: float, say: Callable[[str], None] = typer.echo) -> int:
    """Play the day against the installation at ``home``; returns how many cases were decided.

    Args:
        pace: seconds between two acts; 0 for as fast as it goes.

    Raises:
        Unavailable: nothing answers there, or something was refused that should not have been.
    """
    if ask(home, "GET", "/health").status != 200:
        raise Unavailable(f"Nothing is ready at {home}: start it with `make up`")
    day = _prepare(home, pace, say)
    for part in (_reports, _submission, _emergency, _routine, _disagreement, _break, _referral, _collected):
        part(day)
    say(f"The day is over: {day.decided} cases decided.")
    return day.decided


@dataclass(slots=True)
class Day:
    """Who is there, and what has come in."""

    home: str
    pace: float
    say: Callable[[str], None]
    people: dict[str, Person]
    partners: list[Sender]
    cases: dict[str, tuple[str, int]] = field(default_factory=dict)
    decided: int = 0

    def tell(self, who: str, what: str) -> None:
        self.say(f"{datetime.now(UTC):%H:%M:%S}  {who:<18} {what}")
        time.sleep(self.pace)

    def opens(self, name: str, post: str) -> str:
        """The person takes the case of this post, once it is open, and reads it; the path of its page."""
        person, (case_id, number) = self.people[name], self.cases[post]
        path, until = f"/cases/{case_id}", time.monotonic() + _PATIENCE_SECONDS
        while "/claim" not in person.reads(path):
            if time.monotonic() > until:
                raise Unavailable(f"Case {number} was not opened in time: does a worker run? See `triage doctor`")
            time.sleep(0.1)
        person.sends(f"{path}/claim")
        person.reads(path)
        self.tell(name, f"reads case {number}: the words alone, no score")
        return path

    def decides(self, name: str, post: str, view: dict[str, Any], outcome: str, **more: Any) -> None:
        """Open, judge, see what the machine made of it, decide."""
        path, person, number = self.opens(name, post), self.people[name], self.cases[post][1]
        person.sends(f"{path}/judge", **view)
        machine = "agrees" if "You agree" in person.reads(path) else "sees it differently, or has nothing to say"
        self.tell(name, f"says {', '.join(view['codes'])}; the machine {machine}")
        person.sends(f"{path}/decide", **(view | {"outcome": outcome} | more))
        self.tell(name, f"decides case {number}: {outcome.replace('_', ' ')}")
        self.decided += outcome != "second_opinion"


def _prepare(home: str, pace: float, say: Callable[[str], None]) -> Day:
    """Accounts and partners of this day alone: those of an earlier one keep their names."""
    mark = secrets.token_hex(2)
    passwords = {name: secrets.token_urlsafe(16) for name, _ in _PEOPLE}
    with transaction() as session:
        for name, role in _PEOPLE:
            accounts.create_user(
                session,
                _ACTOR,
                username=f"{name.lower()}-{mark}",
                display_name=f"{name} ({role}, day {mark})",
                password=passwords[name],
                roles=[role],
            )
        partners = [_partner(session, home, f"{name} (day {mark})") for name in ("Chirper", "Picstream")]
    people = {name: Person(name, home) for name, _ in _PEOPLE}
    for name, person in people.items():
        person.sign_in(f"{name.lower()}-{mark}", passwords[name])
    say(f"Day {mark} at {home}. Open /queue as a moderator, /approvals as an approver or /figures to watch.")
    return Day(home, pace, say, people, partners)


def _partner(session: Session, home: str, name: str) -> Sender:
    row = accounts.create_partner(session, _ACTOR, name=name, kind=PartnerKind.PLATFORM)
    return Sender(name, home, accounts.issue_key(session, _ACTOR, row.id, now=datetime.now(UTC)))


def _reports(day: Day) -> None:
    """Each post is told from those of an earlier day by its id on the platform."""
    posts = json.loads(files("workers").joinpath("demo_day_posts.json").read_text(encoding="utf-8"))
    for name, post in posts.items():
        partner = day.partners[post.pop("partner")]
        report = {
            "platform": partner.name.split()[0].lower(),
            "platform_post_id": f"day-{secrets.token_hex(6)}",
            "purpose": "prevention_of_serious_violence",
            "acquisition_mode": "user_report",
        } | post
        day.cases[name] = partner.reports(report)
        day.tell(partner.name, f"reports a post: case {day.cases[name][1]}")


def _submission(day: Day) -> None:
    day.people["Alex"].sends(
        "/submissions/new",
        url=f"https://x.com/invented/status/{secrets.randbelow(10**18)}",
        purpose="prevention_of_serious_violence",
        acquisition_mode="police_open_source",
        force_code="99",
        operation_ref="Demonstration",
        necessity="A caller named the page",
        proportionality="One page, once",
        collateral_intrusion="Comments are not kept",
    )
    day.tell("Alex", "submits the address of a page, with its purpose; somebody else will review it")


def _emergency(day: Day) -> None:
    view = _THREAT | {"imminence": "imminent"}
    words = "A named person, a place and a time: now. The control room was phoned."
    day.decides("Morgan", "gate", view, "escalate", reasons=words, possible_child="unknown")
    day.tell("Morgan", "is asked how they are, and whom they can talk to")


def _routine(day: Day) -> None:
    day.decides("Sasha", "kitchen", _HARMLESS | {"contexts": ["cooking"]}, "no_violation")
    view = {"codes": ["VIC"], "speech_act": "disclose_victimisation", "target": "none", "imminence": "near"}
    words = "Somebody is made to carry packages and is afraid. Support first."
    day.decides("Kit", "friday_bag", view, "safeguard", reasons=words, possible_child="yes")
    day.decides("Sasha", "bars", _HARMLESS | {"contexts": ["artistic"]}, "no_violation")
    day.decides("Morgan", "vigil", _HARMLESS | {"contexts": ["grief", "counter_speech"]}, "no_violation")
    view = {"codes": ["WSALE"], "speech_act": "solicit_sell", "target": "none", "imminence": "unspecified"}
    words = "An offer of knives; for the team that deals with sales."
    day.decides("Kit", "for_sale", view, "route_out", reasons=words, possible_child="no")
    path = day.opens("Morgan", "exam")
    day.people["Morgan"].sends(f"{path}/pass")
    day.tell("Morgan", "passes; nobody asks why")
    day.decides("Kit", "exam", _HARMLESS | {"contexts": ["banter"]}, "no_violation")


def _disagreement(day: Day) -> None:
    view = {"codes": ["VTH"], "speech_act": "threat", "target": "identifiable_small_group", "imminence": "unspecified"}
    words = "It may be a threat in code, and there is one sign only."
    day.decides("Morgan", "corner", view, "second_opinion", reasons=words)
    day.decides("Sasha", "corner", _HARMLESS, "no_violation")


def _break(day: Day) -> None:
    day.opens("Kit", "tag")
    day.people["Kit"].sends("/wellbeing/break")
    day.tell("Kit", "needs a break: the case goes back at once")
    day.decides("Sasha", "tag", _HARMLESS | {"contexts": ["gaming"]}, "no_violation")


def _referral(day: Day) -> None:
    """Returned once, judged anew by somebody else, approved."""
    _refer(day, "Morgan")
    ada, path = day.people["Ada"], _waiting(day)
    ada.sends(f"{path}/reject", note="Say what the platform's rule is, and why nothing less would do")
    day.tell("Ada", "sends it back with a note: somebody else reads it anew")
    _refer(day, "Sasha")
    path = _waiting(day)
    ada.reads(path)
    ada.sends(f"{path}/approve", **dict.fromkeys(CHECKLIST, "yes"))
    day.tell("Ada", "has read the post and the grounds side by side, and approves")


def _refer(day: Day, name: str) -> None:
    recipient = day.partners[1].name
    page = re.compile(rf'<option value="([0-9a-f-]{{36}})"[^>]*>\s*{re.escape(recipient)}')
    path, person, number = day.opens(name, "bus_stop"), day.people[name], day.cases["bus_stop"][1]
    person.sends(f"{path}/judge", **_THREAT)
    found = page.search(person.reads(path))
    if found is None:
        raise Unavailable(f"{recipient} is not among the recipients")
    words = "It names a person, a place and a time, and says what will happen there."
    reasoning = ("facts", "statement_of_reasons", "causal_path", "necessity", "proportionality", "least_intrusive")
    person.sends(
        f"{path}/decide",
        **(_THREAT | dict.fromkeys(reasoning, words)),
        outcome="refer",
        reasons=words,
        recipient_id=found.group(1),
        platform_policy_clause="Violent threats, section 2",
        likelihood="likely",
        possible_child="no",
    )
    day.tell(name, f"refers case {number} to {recipient}, with its grounds")
    day.decided += name == "Sasha"


def _waiting(day: Day) -> str:
    """The newest referral that waits for approval."""
    found = _REFERRAL.findall(day.people["Ada"].reads("/approvals"))
    if not found:
        raise Unavailable("No referral waits for approval")
    return f"/approvals/{found[-1]}"


def _collected(day: Day) -> None:
    recipient = day.partners[1]
    ours = recipient.gets("/api/v1/referrals")["referrals"]
    for each in ours:
        document = recipient.gets(f"/api/v1/referrals/{each['referral_id']}/export?format=json")
        decided = document["automation"]["automated_decision"]
        day.tell(recipient.name, f"collects a referral; decided by machines: {decided}")
