"""``pg_dump`` and ``pg_restore`` for the database that the settings name."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from psycopg.conninfo import make_conninfo

from triage.db.session import engine
from workers.backup.errors import BackupFailed
from workers.embedded.programs import postgres_folder
from workers.lifeline import die_with_parent

_DEBIAN = Path("/usr/lib/postgresql")
#: Columns of keyset and lists fit; a message that is longer is cut, because what follows can quote a row.
_LONGEST_REASON = 300


def run(name: str, *arguments: str, server_major: int) -> None:
    """Run a program of PostgreSQL against this installation's database and wait for its end.

    The password goes through the environment of the child, which only its account can read; a command line is public.

    Raises:
        BackupFailed: there is no such program for this server, or it failed; its reason without any row.
    """
    connection = engine().url.translate_connect_args(username="user", database="dbname")
    connection |= {key: value for key, value in engine().url.query.items() if isinstance(value, str)}
    password = connection.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    command = [str(_find(name, server_major)), "--no-password", "--dbname", make_conninfo(**connection), *arguments]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    if done.returncode != 0:
        raise BackupFailed(f"{name} failed: {_reason(name, done.stderr.decode(errors='replace'))}")


def _reason(name: str, said: str) -> str:
    """The program's first complaint. What follows it (context, detail, statement) can quote a post, and is left out."""
    for line in said.splitlines():
        if line.startswith(f"{name}: error: "):
            return line.removeprefix(f"{name}: error: ")[:_LONGEST_REASON]
    return "it does not say why"


def _find(name: str, server_major: int) -> Path:
    """The program nearest to the server's version, and not older: those cannot read it.

    The operating system's come first. The one that was installed with us speaks no TLS.
    """
    found = [(major, place) for place in _places(name) if (major := _major(place)) >= server_major]
    if not found:
        raise BackupFailed(
            f"There is no {name} for PostgreSQL {server_major} here: install postgresql-client-{server_major}"
        )
    nearest = min(major for major, _ in found)
    return next(place for major, place in found if major == nearest)


def _places(name: str) -> list[Path]:
    on_path = shutil.which(name)
    everywhere = [Path(on_path)] if on_path else []
    everywhere += sorted(_DEBIAN.glob(f"*/bin/{name}"))
    return [*everywhere, postgres_folder() / "bin" / name]


def _major(program: Path) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\) (\d+)", said)
    return int(version[1]) if version else 0
