"""A hundred reviewers at one queue of a million cases: the page, the next case, and nobody gets another's."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from triage import accounts
from triage.db import User
from triage.domain.words import Role
from workers.bench import clients
from workers.bench.clients import Caller
from workers.bench.rows import Measured, Row, percentile
from workers.bench.site import ACTOR, Place
from workers.bench.sizes import Sizes

_PASSWORD = "invented for this run"  # noqa: S105 -- of nobody, in a database that is dropped
#: A mean of so many seconds between two cases of one reviewer. Reading one takes longer.
THINKS_SECONDS = 20.0

# A case that is taken twice with nothing between was given to two people.
_DOUBLE = """
    SELECT count(*) FROM (
        SELECT kind, lag(kind) OVER (PARTITION BY case_id ORDER BY id) AS before
        FROM events WHERE kind IN ('case.claimed', 'case.released')
    ) AS steps WHERE kind = 'case.claimed' AND before = 'case.claimed'
"""


@dataclass
class _Reviewer:
    """One person at a browser, and how many seconds each answer took."""

    number: int
    caller: Caller
    pages: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    readings: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def work(self, seconds: float) -> None:
        """Look at the queue, take the next case, open it, put it back: once at least, and for so many seconds."""
        chance, until = random.Random(self.number), time.monotonic() + seconds  # noqa: S311 -- repeatable
        pause = chance.uniform(0.0, min(THINKS_SECONDS, seconds))
        while True:
            time.sleep(pause)
            self.review_one()
            pause = chance.expovariate(1 / THINKS_SECONDS)
            if time.monotonic() + pause > until:
                return

    def review_one(self) -> None:
        token = self.look()
        case = self.take(token)
        if case:
            self._timed(self.readings, self.caller.call("GET", case), 200)
            self.caller.submit(f"{case}/release", token)

    def look(self) -> str:
        """The queue page; gives its form's token."""
        answer = self.caller.call("GET", "/queue")
        self._timed(self.pages, answer, 200)
        return clients.token_of(answer.body)

    def take(self, token: str) -> str:
        """The address of the case that is next; empty where none was given."""
        answer = self.caller.submit("/queue/next", token)
        self._timed(self.claims, answer, 303)
        return answer.location if answer.location.startswith("/cases/") else ""

    def _timed(self, into: list[float], answer: clients.Answer, wanted: int) -> None:
        into.append(answer.seconds)
        if answer.status != wanted:
            self.failures.append(f"{answer.status}")


def queue_page(place: Place, sizes: Sizes) -> Measured:
    """Reviewers at work, then all of them pressing the button at one moment, in a place whose web process runs."""
    people = [
        _Reviewer(number, clients.reviewer(place.address, cookie))
        for number, cookie in enumerate(_sign_in(place, sizes.reviewers))
    ]
    people[0].look()  # templates are compiled once, by whoever comes first
    people[0].pages.clear()
    clients.all_at_once(lambda person: person.work(sizes.review_seconds), people)
    pages, claims, readings = ([t for p in people for t in times(p)] for times in (_pages, _claims, _readings))
    tokens = {person.number: person.look() for person in people}
    began = time.perf_counter()
    given = clients.all_at_once(lambda person: person.take(tokens[person.number]), people)
    burst = time.perf_counter() - began
    cases = [case for case in given if case]
    double = place.value(_DOUBLE) + len(cases) - len(set(cases))
    failed = sum(len(person.failures) for person in people)
    for person in people:
        person.caller.close()
    stored, part = place.value("SELECT count(*) FROM cases"), "queue"
    of = f"{stored:,} cases, {len(people)} reviewers"
    return Measured(
        [
            Row(part, f"queue page, {of}, p95", len(pages), 1000 * percentile(pages, 0.95), "ms", None, 100),
            Row(part, "next case, over HTTP, p95", len(claims), 1000 * percentile(claims, 0.95), "ms", None, 30),
            Row(part, "case page, p95", len(readings), 1000 * percentile(readings, 0.95), "ms"),
            Row(part, "all press at one moment: until the last has a case", len(cases), burst, "s"),
            Row(part, "cases given to two people", len(claims) + len(people), double, "", None, 0),
            Row(part, "answers that failed", len(pages) + len(claims) + len(readings), failed, "", None, 0),
        ],
        {"queue": [{"pages": sorted(pages), "claims": sorted(claims)}]},
    )


def _pages(person: _Reviewer) -> list[float]:
    return person.pages


def _claims(person: _Reviewer) -> list[float]:
    return person.claims


def _readings(person: _Reviewer) -> list[float]:
    return person.readings


def _sign_in(place: Place, count: int) -> list[str]:
    """So many moderators, each with the cookie of an open session."""
    now = datetime.now(UTC)
    with Session(place.engine) as session:
        first = accounts.create_user(
            session, ACTOR, username="r0", display_name="R0", password=_PASSWORD, roles=[Role.MODERATOR]
        )
        for number in range(1, count):
            more = User(
                username=f"r{number}",
                display_name=f"R{number}",
                pseudonym=f"R-{number:08X}",
                password_hash=first.password_hash,  # made once: it is slow on purpose
                roles=first.roles,
            )
            session.add(more)
        session.flush()
        cookies = [
            accounts.sign_in(session, username=f"r{number}", password=_PASSWORD, now=now, hours=1)
            for number in range(count)
        ]
        session.commit()
    return [cookie for cookie in cookies if cookie]
