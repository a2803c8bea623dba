"""``make soak``: reports keep arriving while everything breaks at random; at the end the three promises hold.

    SECONDS=600 SEED=1 make soak

Starts servers and a whole service of its own, in a temporary folder, and leaves nothing behind. Bounded: after SECONDS
it stops sending and killing, waits for at most ten minutes until every case is open, and then checks.
"""

import math
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from tests.fault.promises import all_open, assert_kept, count
from tests.fault.service import Partner, children, up
from tests.people import add_people
from triage import queue
from triage.db import Case, DeadLetter, Event, EventSeal, Post, PostScores
from triage.db.migrate import upgrade
from triage.db.session import engine, transaction
from workers.embedded import EmbeddedServers

SETTLED_SECONDS = 600
#: Of 100 blows so many each: what is struck, and how. Workers most, because most happens in them; PostgreSQL seldom,
#: because it recovers slowly.
BLOWS = {
    ("worker bulk", "killed"): 20,
    ("worker live", "killed"): 15,
    ("worker bulk", "stopped for seconds"): 7,
    ("web", "killed"): 10,
    ("web", "stopped for seconds"): 3,
    ("schedule", "killed"): 7,
    ("Redis", "killed"): 6,
    ("Redis", "restarted"): 5,
    ("Redis", "stopped for seconds"): 5,
    ("Redis", "flushed"): 6,
    ("PostgreSQL", "killed"): 3,
    ("PostgreSQL", "restarted"): 3,
    ("PostgreSQL", "stopped for seconds"): 2,
    ("clock", "put forward"): 4,
    ("clock", "put back"): 4,
}
_SERVERS = {"Redis": "redis", "PostgreSQL": "postgres"}
#: The end in good order that each server knows.
_GENTLY = {"Redis": signal.SIGTERM, "PostgreSQL": signal.SIGINT}
#: A mean of so many seconds between two blows, and between two of a reporter's requests.
BETWEEN_BLOWS, BETWEEN_REQUESTS = 6.0, 1.0
SETTINGS = {
    "scoring_lease_seconds": "10",
    "hung_after_seconds": "60",
    "scoring_attempts": "9",
    "scoring_retry_seconds": "1",
}


@dataclass
class Soak:
    """What is under way: the service, its servers, its reporters, and what was done to it."""

    seed: int
    address: str
    supervisor: int
    servers: EmbeddedServers
    key: str
    over: threading.Event = field(default_factory=threading.Event)
    partners: list[Partner] = field(default_factory=list)
    blows: "Counter[str]" = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)

    def report(self, number: int, *, batch: bool) -> None:
        """One reporter: invented posts, until it is over."""
        chance = random.Random(f"{self.seed} reporter {number}")
        partner = Partner(self.address, self.key)
        self.partners.append(partner)
        sent = 0
        try:
            while not self.over.wait(chance.expovariate(1 / BETWEEN_REQUESTS)):
                size = chance.choice((1, 8, 32, 64)) if batch else 1
                texts = [f"reporter {number}, invented post {sent + n}, {_words(chance)}" for n in range(size)]
                partner.report(texts, batch=batch, seconds=SETTLED_SECONDS)
                sent += size
        except BaseException as error:  # noqa: BLE001 -- a thread's end is told at the end of the soak
            self.failures.append(error)

    def strike(self, chance: random.Random) -> None:
        """Break one thing chosen by chance. Servers are started again as `triage up` would."""
        what, how = chance.choices(list(BLOWS), list(BLOWS.values()))[0]
        try:
            struck = self._strike(what, how, chance.uniform(0.0, 4.0))
        except (DBAPIError, RedisError):  # it was recovering from the last blow
            return
        self.blows[f"{what} {how}"] += struck

    def _strike(self, what: str, how: str, seconds: float) -> bool:
        """Whether there was anything to strike: a process may be being started again."""
        match how:
            case "flushed":
                queue.connection().flushall()
            case "put forward" | "put back":
                _step_clock(timedelta(hours=-2 if how == "put forward" else 2))
            case "stopped for seconds":
                return self._stop(what, seconds)
            case _ if what in _SERVERS:
                os.kill(self.servers.pids[_SERVERS[what]], signal.SIGKILL if how == "killed" else _GENTLY[what])
                time.sleep(seconds)
                while not self.servers.restart_ended():
                    time.sleep(0.05)
                engine().dispose()
            case _:
                return _signal(children(self.supervisor).get(what), signal.SIGKILL)
        return True

    def _stop(self, what: str, seconds: float) -> bool:
        """Neither dead nor alive: as a machine that is frozen, or moved."""
        process = self.servers.pids[_SERVERS[what]] if what in _SERVERS else children(self.supervisor).get(what)
        if not _signal(process, signal.SIGSTOP):
            return False
        time.sleep(seconds)
        return _signal(process, signal.SIGCONT)

    @property
    def accepted(self) -> list[str]:
        return [report for partner in self.partners for report in partner.accepted]


def _signal(process: int | None, number: signal.Signals) -> bool:
    """Whether there was such a process."""
    if process is None:
        return False
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def _step_clock(left: timedelta) -> None:
    """What a step leaves behind, as nobody here may set the clock: leases that end in hours, or that are over."""
    with transaction() as session:
        held = Post.scoring_lease_until.is_not(None)
        session.execute(update(Post).where(held).values(scoring_lease_until=Post.scoring_lease_until + left))


def _words(chance: random.Random) -> str:
    return " ".join(chance.choices(("meet", "bus", "stop", "later", "bring", "it", "or", "else", "lol", "music"), k=9))


@contextmanager
def _service(folder: Path, seed: int) -> Iterator[Soak]:
    with EmbeddedServers(folder / "servers") as servers:
        os.environ["TRIAGE_DATABASE_URL"], os.environ["TRIAGE_REDIS_URL"] = servers.database_url, servers.redis_url
        os.environ["TRIAGE_DATA_DIR"] = str(folder / "data")
        upgrade()
        with transaction() as session:
            people = add_people(session)
            people.partner.quota_per_day = 10_000_000
        with up(folder / "log", lanes="live,bulk", **SETTINGS) as (address, supervisor):
            yield Soak(seed, address, supervisor.pid, servers, people.partner_key)
        engine().dispose()
        queue.connection().close()


def _soak(soak: Soak, seconds: float) -> float:
    """Send and strike for so many seconds; then how many more until every case was open."""
    chance = random.Random(soak.seed)
    reporters = [threading.Thread(target=soak.report, args=(n,), kwargs={"batch": n < 2}) for n in range(4)]
    for reporter in reporters:
        reporter.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(chance.expovariate(1 / BETWEEN_BLOWS), max(0.0, until - time.monotonic())))
        soak.strike(chance)
    soak.over.set()
    for reporter in reporters:
        reporter.join()
    calm = time.monotonic()
    while not _all_open():
        if time.monotonic() - calm > SETTLED_SECONDS:
            raise AssertionError(f"cases still wait {SETTLED_SECONDS} s after the last blow")
        time.sleep(0.2)
    return time.monotonic() - calm


def _all_open() -> bool:
    try:
        return all_open()
    except DBAPIError:  # PostgreSQL is still recovering
        return False


def _waits() -> list[float]:
    """Seconds from every report's case being received to its being open, in order."""
    assessed = select(Event.case_id, func.min(Event.at).label("at")).where(Event.kind == "case.assessed")
    opened = assessed.group_by(Event.case_id).subquery()
    wait = func.extract("epoch", opened.c.at - Case.received_at)
    with transaction() as session:
        return sorted(float(each) for each in session.scalars(select(wait).join(opened, opened.c.case_id == Case.id)))


def _table(soak: Soak, seconds: float, settled: float) -> list[tuple[str, str]]:
    waits = _waits()
    again = sum((Counter(partner.sent_again) for partner in soak.partners), Counter())
    unassessed = count(select(func.count()).select_from(PostScores).where(PostScores.not_assessed.is_not(None)))
    return [
        ("seed", f"{soak.seed}"),
        ("seconds of reports and blows", f"{seconds:.0f}"),
        ("blows", f"{soak.blows.total()}: " + ", ".join(f"{what} {n} x" for what, n in soak.blows.most_common())),
        (
            "requests sent again",
            f"{again.total()} ({', '.join(f'{n} x {_status(s)}' for s, n in sorted(again.items()))})",
        ),
        ("reports accepted", f"{len(soak.accepted):,}"),
        ("cases open", f"{len(waits):,}"),
        ("of these not assessed", f"{unassessed:,}"),
        ("given up", f"{count(select(func.count()).select_from(DeadLetter)):,}"),
        ("accepted -> open, p50 / p95 / longest", " / ".join(f"{_at(waits, q):.1f} s" for q in (0.5, 0.95, 1.0))),
        ("last blow -> everything open", f"{settled:.1f} s"),
        ("lost, done twice, or out of sight", "0"),
        ("audit chain", f"holds: {count(select(func.count()).select_from(EventSeal)):,} seals"),
    ]


def _status(status: int) -> str:
    return str(status) if status else "no answer"


def _at(values: list[float], share: float) -> float:
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0


def main() -> None:
    """Run it; exit status 1 and the service's log where a promise was broken."""
    seconds = float(os.environ.get("SECONDS", "600"))
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"soak: {seconds:.0f} s, SEED={seed}", flush=True)  # noqa: T201 -- what a person watches
    folder = Path(tempfile.mkdtemp(prefix="triage-soak-"))
    folder.chmod(0o711)
    try:
        with _service(folder, seed) as soak:
            settled = _soak(soak, seconds)
            assert not soak.failures, soak.failures
            assert_kept(soak.accepted)
            print("\n| | |\n|---|---|")  # noqa: T201 -- for docs/reliability.md
            for name, value in _table(soak, seconds, settled):
                print(f"| {name} | {value} |", flush=True)  # noqa: T201 -- as above
    except BaseException:
        shutil.copy(folder / "log", Path(tempfile.gettempdir()) / "triage-soak.log")
        print(f"soak: FAILED, SEED={seed}; the service's log: {tempfile.gettempdir()}/triage-soak.log", file=sys.stderr)  # noqa: T201 -- as above
        raise
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
