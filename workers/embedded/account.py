"""The account the servers run under. PostgreSQL refuses to run as root, so root hands over to another account."""

import os
import pwd
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.embedded.errors import EmbeddedError

_PREFERRED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user of this machine, and whether we have to change to it (we are root) or are it already."""

    name: str
    uid: int
    gid: int
    is_other: bool

    def popen_arguments(self) -> dict[str, Any]:
        """Keyword arguments that make `subprocess` start a child under this account."""
        if not self.is_other:
            return {"cwd": "/"}
        return {"cwd": "/", "user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}

    def can_enter(self, directory: Path) -> bool:
        """Whether this account may pass through every directory down to this one."""
        return self._succeeds(["/bin/sh", "-c", 'test -x "$1"', "sh", str(directory)])

    def can_run(self, program: Path) -> bool:
        return self._succeeds([str(program), "--version"])

    def give(self, path: Path) -> None:
        """Make this account the owner of something that we created."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def _succeeds(self, command: list[str]) -> bool:
        try:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **self.popen_arguments(),
            )
        except OSError:  # the program cannot be reached or executed by this account
            return False
        return done.returncode == 0


def choose_account(owner: int | None = None) -> Account:
    """The account for the servers: ourselves, or for root an unprivileged one.

    `owner` is the user id that existing data belongs to; root keeps to it, whatever has been installed since.
    Raises EmbeddedError when this machine has no account that PostgreSQL would run under.
    """
    uid = os.geteuid()
    if uid != 0:
        return _ourselves(uid)
    for entry in _candidates(owner):
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)
    raise EmbeddedError(
        "PostgreSQL does not run as root and this machine has no other account: add one (useradd --system postgres), "
        "or set TRIAGE_DATABASE_URL and TRIAGE_REDIS_URL."
    )


def _ourselves(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedError(
            f"User id {uid} has no entry in /etc/passwd, which PostgreSQL needs: add one, or set "
            "TRIAGE_DATABASE_URL and TRIAGE_REDIS_URL."
        ) from None
    return Account(entry.pw_name, uid, os.getegid(), is_other=False)


def _candidates(owner: int | None) -> Iterable[pwd.struct_passwd]:
    everyone = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    yield from (entry for entry in everyone if entry.pw_uid == owner)
    for name in _PREFERRED:
        yield from (entry for entry in everyone if entry.pw_name == name)
    yield from everyone
