"""Start, watch and stop a PostgreSQL and a Redis of our own, on Unix sockets only."""

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import psycopg
import redis
from psycopg import sql

from workers.embedded import place, programs
from workers.embedded.account import Account
from workers.embedded.errors import EmbeddedError, disk_full
from workers.lifeline import die_with_parent

_ROLE = _DATABASE = "triage"
_RECOVERY_SECONDS = 600.0  # a crash recovery may take minutes; until then only the end of the process counts
_STOP_SECONDS = 15.0
_LONGEST_LOG = 10_000_000
# Nothing of the caller's: locale and time zone of the servers must not depend on who started them.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "max_parallel_workers_per_gather": "0",  # parallel plans need /dev/shm, of which a container has 64 MB
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Statements, details and contexts of errors can quote posts, and no post text goes to a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_REDIS_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "logfile": "",
}


@dataclass
class _Server:
    """One server: how to start it, how to stop it, how to see that it answers."""

    name: str
    command: list[str]
    stop_signal: signal.Signals
    ping: Callable[[], None]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    log_start: int = 0

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None


class EmbeddedServers:
    """A PostgreSQL and a Redis that live exactly as long as the `with` block, or this process if it is killed.

    `data` is created where missing and keeps everything between runs. As root the servers run under an unprivileged
    account; if that account cannot reach `data`, the data lies elsewhere, `notice` says where, and `data/urls.json`
    always says how to connect. Start it from the main thread. `durable=False` trades safety at a power cut for speed.
    Raises EmbeddedError.
    """

    def __init__(self, data: Path, *, postgres: bool = True, redis: bool = True, durable: bool = True) -> None:
        self.wanted = data
        self.notice: str | None = None
        self._kinds = [kind for kind, asked in (("redis", redis), ("postgres", postgres)) if asked]
        self._durable = durable
        self._servers: list[_Server] = []
        self._lock: IO[str] | None = None
        self._data = data
        self._run = data / "run"
        self._account: Account | None = None

    @property
    def database_url(self) -> str:
        return f"postgresql+psycopg://{_ROLE}@/{_DATABASE}?host={self._run}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self._run / 'redis.sock'}"

    @property
    def pids(self) -> dict[str, int]:
        return {server.name: server.process.pid for server in self._servers if server.process is not None}

    def __enter__(self) -> "EmbeddedServers":
        try:
            self._prepare()
            for server in self._servers:
                self._launch(server)
            for server in self._servers:
                self._await(server)
            if "postgres" in self._kinds:
                self._create_database()
            self._publish()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def restart_ended(self) -> list[str]:
        """Start again what has ended by itself (killed for memory, say); the names of those servers."""
        ended = [server for server in self._servers if server.has_ended()]
        for server in ended:
            if server.name == "postgres":
                place.remove_stale_pid_file(self._data / "pg")
            self._launch(server)
            self._await(server)
        return [server.name for server in ended]

    def stop(self) -> None:
        """Stop the servers, the last one started first, and let go of the data."""
        running = [server.process for server in reversed(self._servers) if server.process and not server.has_ended()]
        for server in reversed(self._servers):
            if server.process is not None and not server.has_ended():
                server.process.send_signal(server.stop_signal)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()  # both recover from their logs at the next start
                process.wait()
        self._servers = []
        if self._lock is not None:
            (self.wanted / "urls.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _prepare(self) -> None:
        self._data, account = place.choose_data_folder(self.wanted)
        self._account = account
        if self._data != self.wanted.resolve():
            self.notice = (
                f"The account {account.name}, which PostgreSQL runs under, cannot enter {self.wanted.resolve()}: "
                f"the servers keep their data in {self._data}."
            )
        self._lock = place.take_lock(self._data)
        place.require_space(self._data)
        self._run = place.socket_folder(self._data, account)
        makers = {"redis": self._redis, "postgres": self._postgres}
        self._servers = [makers[kind](account) for kind in self._kinds]

    def _redis(self, account: Account) -> _Server:
        program = programs.within_reach(programs.redis_program(), account, self._data)
        socket = self._run / "redis.sock"
        settings = _REDIS_SETTINGS | {
            "unixsocket": str(socket),
            "dir": str(place.server_folder(self._data, "redis", account)),
            "appendonly": "yes" if self._durable else "no",
        }
        command = [str(program)]
        for name, value in settings.items():
            command += [f"--{name}", value]
        client = redis.Redis(unix_socket_path=str(socket))

        def ping() -> None:
            client.ping()
            client.close()

        return _Server("redis", command, signal.SIGTERM, ping, self._data / "redis.log")

    def _postgres(self, account: Account) -> _Server:
        folder = programs.postgres_within_reach(account, self._data)
        cluster = self._data / "pg"
        if not cluster.exists():
            self._init_cluster(folder / "initdb", cluster, account)
        place.server_folder(self._data, "pg", account)
        place.remove_stale_pid_file(cluster)
        settings = _POSTGRES_SETTINGS | {"unix_socket_directories": str(self._run)}
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(folder / "postgres"), "-D", str(cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]

        def ping() -> None:
            self._connect("postgres").close()

        return _Server("postgres", command, signal.SIGINT, ping, self._data / "postgres.log")

    def _init_cluster(self, initdb: Path, cluster: Path, account: Account) -> None:
        half = self._data / "pg.init"
        if half.exists():
            shutil.rmtree(half)
        place.server_folder(self._data, half.name, account)
        command = [str(initdb), "-D", str(half), "-U", _ROLE, "--auth-local=trust", "--auth-host=reject"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        if not self._durable:
            command.append("--no-sync")
        with self._start(command, signal.SIGKILL, subprocess.PIPE) as process:
            said = process.communicate()[0].decode(errors="replace")
        if process.returncode != 0:
            raise self._explain("initdb", process.returncode, said)
        half.rename(cluster)  # only a whole cluster ever has this name

    def _start(
        self, command: list[str], at_our_death: signal.Signals, output: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        account, lock = self._account, self._lock
        assert account is not None
        assert lock is not None
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            start_new_session=True,  # Ctrl-C in the terminal is for us; the servers stop last
            pass_fds=(lock.fileno(),),
            preexec_fn=die_with_parent(at_our_death),
            **account.popen_arguments(),
        )

    def _launch(self, server: _Server) -> None:
        if server.log.exists() and server.log.stat().st_size > _LONGEST_LOG:
            server.log.replace(server.log.with_suffix(".log.old"))
        with server.log.open("ab") as log:
            server.log_start = log.tell()
            server.process = self._start(server.command, server.stop_signal, log)

    def _await(self, server: _Server) -> None:
        assert server.process is not None
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError, redis.ConnectionError, redis.TimeoutError):
                server.ping()
                return
            status = server.process.poll()
            if status is not None or time.monotonic() > deadline:
                with server.log.open("rb") as log:
                    log.seek(server.log_start)
                    said = log.read(_LONGEST_LOG).decode(errors="replace")
                raise self._explain(server.name, status, f"{said}\nSee {server.log}.")
            time.sleep(0.01)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self._run), user=_ROLE, dbname=database, autocommit=True)

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))

    def _publish(self) -> None:
        """Tell other processes of this user how to connect: commands typed in a second terminal."""
        urls = {"postgres": ("database_url", self.database_url), "redis": ("redis_url", self.redis_url)}
        half = self.wanted / "urls.json.half"
        half.write_text(json.dumps(dict(urls[kind] for kind in self._kinds)), encoding="utf-8")
        half.replace(self.wanted / "urls.json")

    def _explain(self, name: str, status: int | None, said: str) -> EmbeddedError:
        if "No space left on device" in said:
            return disk_full(self._data)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        ended = "does not answer" if status is None else f"ended while starting (status {status})"
        return EmbeddedError(f"{name} {ended}: {' '.join(lines[-3:])}")


@contextlib.contextmanager
def temporary_servers() -> Iterator[EmbeddedServers]:
    """Servers for a test run, with nothing left behind: fast instead of durable, in a new temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="triage-"))
    folder.chmod(0o711)
    try:
        with EmbeddedServers(folder / "servers", durable=False) as servers:
            yield servers
    finally:
        shutil.rmtree(folder)
