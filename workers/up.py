"""`triage up`: everything on one machine, from the servers to the workers, until Ctrl-C."""

import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import typer
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from triage.domain.errors import InvalidInput, Unavailable
from triage.queue import Bell
from triage.settings import Settings
from workers import beats
from workers.embedded import EmbeddedServers
from workers.lifeline import die_with_parent
from workers.supervisor import Command, Supervisor

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared, not bound
_PROBE_SECONDS = 0.5


def run_up(settings: Settings) -> int:
    """Start what is missing, run until SIGINT or SIGTERM, stop everything; the exit status.

    Raises:
        InvalidInput: a lane in TRIAGE_WORKER_LANES does not exist, or the address cannot be listened on.
        Unavailable: the port is busy, a server cannot start, or a preparing step failed.
    """
    lanes = _lanes(settings)
    _require_free_port(settings.host, settings.port, setting="TRIAGE_PORT")
    if settings.scorer_port:
        _require_free_port(settings.host, settings.scorer_port, setting="TRIAGE_SCORER_PORT")
    try:
        with _interruptible(), _servers(settings) as servers:
            environment = _environment(settings, servers)
            _prepare(environment, has_own_database=settings.database_url is None)
            _supervise(settings, lanes, servers, environment)
    except KeyboardInterrupt:  # before the supervisor took over the signals; the servers have stopped
        pass
    typer.echo("Stopped.")
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, also where the shell started us with SIGINT ignored."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _servers(settings: Settings) -> Iterator[EmbeddedServers]:
    """The embedded servers that the settings leave to us: both, one, or none."""
    servers = EmbeddedServers(
        settings.data_dir / "servers",
        postgres=settings.database_url is None,
        redis=settings.redis_url is None,
    )
    with servers:
        if servers.notice:
            typer.echo(servers.notice)
        yield servers


def _environment(settings: Settings, servers: EmbeddedServers) -> dict[str, str]:
    return os.environ | {
        "TRIAGE_DATABASE_URL": settings.database_url or servers.database_url,
        "TRIAGE_REDIS_URL": settings.redis_url or servers.redis_url,
        "TRIAGE_DATA_DIR": str(settings.data_dir.resolve()),
        "PYTHONUNBUFFERED": "1",
    }


def _prepare(environment: dict[str, str], *, has_own_database: bool) -> None:
    _step("migrate", environment)
    if has_own_database:
        _step("demo", environment)
    else:  # it may be a real one, with real people
        typer.echo(
            "TRIAGE_DATABASE_URL is set, so nothing was added: `triage user add` adds people, `triage demo` demo data."
        )


def _step(name: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        _triage(name),
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    if done.returncode != 0:
        raise Unavailable(f"`triage {name}` failed (status {done.returncode}); its reason stands above")


def _supervise(settings: Settings, lanes: list[Bell], servers: EmbeddedServers, environment: dict[str, str]) -> None:
    commands = [Command("web", _triage("web"), environment), Command("schedule", _triage("schedule"), environment)]
    commands += [Command(f"worker-{lane}", _triage("worker", str(lane)), environment) for lane in lanes]
    announcements = [_Announcement("Ready: {}   (Ctrl-C stops everything)", settings.host, settings.port)]
    if settings.scorer_port:
        commands.append(Command("scorer", _triage("scorer"), environment))
        announcements.append(_Announcement("Scores: {}", settings.host, settings.scorer_port))
    heartbeats = Heartbeats(environment["TRIAGE_DATABASE_URL"])

    def on_tick() -> None:
        for name in servers.restart_ended():
            typer.echo(f"{name} had ended and was started again.", err=True)
        for announcement in announcements:
            announcement.make_when_ready()

    supervisor = Supervisor(commands, is_hung=heartbeats.is_hung, on_tick=on_tick)
    try:
        supervisor.run()
    finally:
        heartbeats.close()


class Heartbeats:
    """What the workers' beats in the database say. Asked by the supervisor, so it may neither wait nor fail.

    Without a database nobody beats, and nobody is to blame. So after a question that had no answer, and after a
    gap between answers (this machine slept), everybody is given time to beat again before silence counts.
    """

    def __init__(self, database_url: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        brief = {"connect_timeout": 2, "tcp_user_timeout": 2000, "options": "-c statement_timeout=2000"}
        self._engine: Engine = create_engine(database_url, pool_size=1, pool_pre_ping=True, connect_args=brief)
        self._clock = clock
        self._answered: datetime | None = None
        self._silence_counts_from = clock()

    def is_hung(self, name: str, pid: int) -> bool:
        try:
            with Session(self._engine) as session:
                hung = beats.is_hung(session, name, pid, now=self._clock())
        except SQLAlchemyError:
            self._answered = None
            return False
        now = self._clock()
        if self._answered is None or now - self._answered > beats.SILENT_AFTER:
            self._silence_counts_from = now + beats.SILENT_AFTER
        self._answered = now
        return hung and now >= self._silence_counts_from

    def close(self) -> None:
        self._engine.dispose()


class _Announcement:
    """Says once where a process serves, as soon as it answers. The address takes the place of ``{}`` in ``words``."""

    def __init__(self, words: str, host: str, port: int) -> None:
        self._words = words
        self._host = _EVERYWHERE.get(host, host)
        self._port = port
        self._made = False
        self._next_probe = 0.0

    def make_when_ready(self) -> None:
        if self._made or time.monotonic() < self._next_probe:
            return
        self._next_probe = time.monotonic() + _PROBE_SECONDS
        if self._answers():
            host = f"[{self._host}]" if ":" in self._host else self._host
            typer.echo(self._words.format(f"http://{host}:{self._port}"))
            self._made = True

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _lanes(settings: Settings) -> list[Bell]:
    names = [name.strip() for name in settings.worker_lanes.split(",") if name.strip()]
    known = {str(bell): bell for bell in Bell}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInput(
            f"TRIAGE_WORKER_LANES names {', '.join(unknown)}; there are only {', '.join(known)}", field="worker_lanes"
        )
    return [known[name] for name in dict.fromkeys(names)]


def _require_free_port(host: str, port: int, *, setting: str) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web process does
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"Port {port} is in use, perhaps by another `make up`: stop that, or choose another with {setting}"
            ) from None
        raise InvalidInput(
            f"Cannot listen on {host} port {port} ({error.strerror}): see TRIAGE_HOST and {setting}",
            field=setting.removeprefix("TRIAGE_").lower(),
        ) from None


def _triage(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "workers.cli", *arguments]
