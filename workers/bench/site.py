"""Servers and processes of the benchmark's own: the same programs that serve, in a temporary folder, and nothing left.

Each part has a database of its own, copied from one that `triage migrate` made. The servers keep what they are told as
they do in service: nothing is faster here because it would not survive a power cut.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session

from triage import accounts, audit
from triage.db import Partner
from triage.domain.errors import Unavailable
from triage.domain.words import PartnerKind
from workers.embedded import EmbeddedServers
from workers.lifeline import die_with_parent

_PATIENCE_SECONDS = 600
_STOP_SECONDS = 60
_TEMPLATE = "bench_template"
#: No part of this measures quotas or back-pressure.
_QUOTA = 1_000_000_000
ACTOR = audit.system("benchmark")


@dataclass
class Process:
    """One running command of ours, and the file that it logs to."""

    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path

    def await_line(self, words: str) -> None:
        """Wait until the log says ``words``. Raises Unavailable when the process ends first."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while words not in self.log.read_text(encoding="utf-8"):
            self.require_life(deadline)
            time.sleep(0.05)

    def require_life(self, deadline: float) -> None:
        if self.popen.poll() is not None or time.monotonic() > deadline:
            tail = self.log.read_text(encoding="utf-8")[-2000:]
            raise Unavailable(f"{self.name} ended, or does not get ready: {tail}")

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def resident_bytes(self) -> int:
        """Memory that it holds now; 0 where it has ended."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.popen.pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0


@dataclass
class Place:
    """One database, and the processes that work on it."""

    url: str
    redis_url: str
    folder: Path
    settings: dict[str, str]
    engine: Engine
    key: str = ""
    address: str = ""
    processes: list[Process] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
        ours = {"DATABASE_URL": self.url, "REDIS_URL": self.redis_url, "DATA_DIR": str(self.folder / "data")}
        return clean | {f"TRIAGE_{name}": value for name, value in (ours | self.settings).items()}

    def start(self, *arguments: str, **settings: str | int) -> Process:
        """Start ``triage`` with these arguments and settings; it ends with this process, whatever ends that."""
        return self.run("workers.cli", *arguments, **settings)

    def run(self, module: str, *arguments: str, **settings: str | int) -> Process:
        """As ``start``, for another program of ours."""
        name = " ".join(("triage", *arguments))
        log = self.folder / f"{len(self.processes):03d}-{arguments[0]}.log"
        more = {f"TRIAGE_{setting.upper()}": str(value) for setting, value in settings.items()}
        with log.open("wb") as written:
            popen = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def start_web(self) -> Process:
        """The web process, from when it answers."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = self.start("web", port=port)
        self.address = f"127.0.0.1:{port}"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            process.require_life(deadline)
            time.sleep(0.05)
        return process

    def start_workers(self, lane: str, count: int, **settings: str | int) -> list[Process]:
        """Workers for a lane, from when they have loaded the model."""
        workers = [self.start("worker", lane, **settings) for _ in range(count)]
        for worker in workers:
            worker.await_line("pipeline loaded")
        return workers

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, *some: Process) -> None:
        """Stop these processes, or all of them, the newest first."""
        for process in some or tuple(reversed(self.processes)):
            process.stop()

    def value(self, sql: str, **parameters: object) -> int:
        """The one number that a query gives."""
        with self.engine.connect() as connection:
            return int(connection.execute(text(sql), parameters).scalar_one())

    def posts(self) -> list[uuid.UUID]:
        """The ids of all posts that want scores."""
        with self.engine.connect() as connection:
            return list(connection.execute(text("SELECT id FROM posts WHERE scoring = 'wanted'")).scalars())

    def empty_backlog(self) -> None:
        """Let what still waits wait no more, so that what is measured next is measured alone."""
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE posts SET scoring = 'failed' WHERE scoring = 'wanted'"))


@dataclass
class Site:
    """The servers, and databases in them."""

    servers: EmbeddedServers
    folder: Path
    settings: dict[str, str]

    @contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """An empty database with one partner; when the block ends its processes are stopped and it is dropped."""
        database = f"bench_{name}"
        self._administer(f'CREATE DATABASE "{database}" TEMPLATE "{_TEMPLATE}"')
        redis = Redis.from_url(self.servers.redis_url)
        redis.flushall()
        redis.close()
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        url = _named(self.servers.database_url, database)
        place = Place(url, self.servers.redis_url, folder, self.settings, create_engine(url, pool_size=4))
        try:
            with Session(place.engine) as session:
                place.key = _partner_key(session)
                session.commit()
            yield place
        finally:
            place.stop()
            place.engine.dispose()
            self._administer(f'DROP DATABASE "{database}" WITH (FORCE)')

    def prepare(self) -> None:
        """The empty database that every part's is copied from."""
        self._administer(f'CREATE DATABASE "{_TEMPLATE}"')
        url = _named(self.servers.database_url, _TEMPLATE)
        place = Place(url, self.servers.redis_url, self.folder, self.settings, create_engine(url))
        migration = place.start("migrate")
        if migration.popen.wait(_PATIENCE_SECONDS) != 0:
            raise Unavailable(f"`triage migrate` failed: {migration.log.read_text(encoding='utf-8')[-2000:]}")
        place.engine.dispose()

    def _administer(self, statement: str) -> None:
        engine = create_engine(_named(self.servers.database_url, "postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _partner_key(session: Session) -> str:
    partner: Partner = accounts.create_partner(
        session, ACTOR, name="Chirper", kind=PartnerKind.PLATFORM, quota_per_day=_QUOTA
    )
    return accounts.issue_key(session, ACTOR, partner.id, now=datetime.now(UTC))


@contextmanager
def running(**settings: str | int) -> Iterator[Site]:
    """A site in a temporary folder. Start it from the main thread.

    Args:
        settings: of all its processes, by their names in ``triage.settings``.
    """
    folder = Path(tempfile.mkdtemp(prefix="triage-bench-"))
    folder.chmod(0o711)  # the servers' account passes through
    try:
        with EmbeddedServers(folder / "servers") as servers:
            site = Site(servers, folder, {name.upper(): str(value) for name, value in settings.items()})
            site.prepare()
            yield site
    finally:
        shutil.rmtree(folder)
