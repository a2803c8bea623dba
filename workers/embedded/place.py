"""Where the servers keep their data and sockets, and the lock that keeps a second instance out of there."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import IO

from workers.embedded.account import Account, choose_account
from workers.embedded.errors import EmbeddedError, disk_full, not_ours

# A socket's path may have 107 bytes; PostgreSQL adds its own file name and ".lock" to the folder's.
_LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432.lock")
_SMALLEST_DISK = 200_000_000  # bytes; a new cluster takes 40 MB, a copy of the programs 45 MB, logs the rest
_SHARED_PARENT = Path("/var/lib")


def make_folder(path: Path, mode: int) -> None:
    """Create a folder of ours with this mode whatever the umask; an existing one is left alone."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return
    except OSError as error:
        raise _folder_error(path, error) from None
    path.chmod(mode)


def choose_data_folder(wanted: Path) -> tuple[Path, Account]:
    """The folder for the servers' data and the account they run under.

    It is `wanted`, except for root when the account cannot get there (a checkout that only root may enter): then a
    folder under /var/lib named after `wanted`. No permission of anybody's folder is changed.
    """
    wanted = wanted.resolve()
    make_folder(wanted, 0o711)
    account = choose_account(_owner(wanted / "pg"))
    if not account.is_other or account.can_enter(wanted):
        return wanted, account
    elsewhere = _SHARED_PARENT / f"triage-{_short_hash(wanted)}"
    make_folder(elsewhere, 0o711)
    account = choose_account(_owner(elsewhere / "pg"))
    if not account.can_enter(elsewhere):
        raise EmbeddedError(
            f"The account {account.name}, which PostgreSQL runs under, can reach neither {wanted} nor {elsewhere}: "
            "set TRIAGE_DATA_DIR to a folder that it can enter."
        )
    return elsewhere, account


def server_folder(data: Path, name: str, account: Account) -> Path:
    """A folder below `data` that belongs to the account and that nobody else may enter."""
    folder = data / name
    make_folder(folder, 0o700)
    owner = folder.stat().st_uid
    if owner == os.geteuid():
        account.give(folder)
    elif owner != account.uid:
        raise not_ours(folder, _user_name(owner))
    return folder


def socket_folder(data: Path, account: Account) -> Path:
    """An empty folder for the sockets: below `data`, or below the temporary folder when that path is too long.

    Whoever holds the lock calls this, so sockets found there are stale and are removed.
    """
    folder = data / "run"
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
        folder = server_folder(data, "run", account)
    else:
        folder = Path(tempfile.gettempdir()) / f"triage-{os.geteuid()}-{_short_hash(data)}"
        if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER:
            raise EmbeddedError(
                f"The path {folder} is too long for a socket: set TMPDIR or TRIAGE_DATA_DIR to a shorter path."
            )
        server_folder(folder.parent, folder.name, account)
        if not stat.S_ISDIR(os.lstat(folder).st_mode) or not account.can_enter(folder):
            raise EmbeddedError(f"{folder} cannot hold sockets: remove it, or set TRIAGE_DATA_DIR to a shorter path.")
    for stale in folder.iterdir():
        stale.unlink()
    return folder


def require_space(folder: Path) -> None:
    """Raises EmbeddedError when the disk has too little room to start a database on."""
    free = shutil.disk_usage(folder).free
    if free < _SMALLEST_DISK:
        raise EmbeddedError(
            f"The disk that holds {folder} has {free // 1_000_000} MB free and {_SMALLEST_DISK // 1_000_000} MB are "
            "needed: free some space there, or set TRIAGE_DATA_DIR to a folder elsewhere."
        )


def take_lock(data: Path, *, patience: float = 20.0) -> IO[str]:
    """Lock the folder for this process and the servers, which inherit the lock; closing the file lets go of it.

    Because the servers inherit it, servers that outlive a killed supervisor keep it until the last of them is gone:
    for those we wait up to `patience` seconds. Raises EmbeddedError when a living instance holds it.
    """
    path = data / "lock"
    try:
        lock = path.open("a+", encoding="ascii")
    except OSError as error:
        raise _folder_error(path, error) from None
    deadline = time.monotonic() + patience
    while not _locked(lock):
        lock.seek(0)
        holder = lock.read().strip()
        if _is_alive(holder) or time.monotonic() > deadline:
            lock.close()
            raise EmbeddedError(
                f"Another instance (process {holder or 'unknown'}) is using {data}: stop it first, or set "
                "TRIAGE_DATA_DIR to another folder."
            )
        time.sleep(0.05)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def remove_stale_pid_file(cluster: Path) -> None:
    """Remove PostgreSQL's pid file if it is a leftover.

    PostgreSQL takes any process that now has the written id for the old server and refuses to start, and ids repeat
    soon in containers. We hold the lock, so only a server started by hand could be real: that one has its working
    directory in the cluster.
    """
    path = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(path.read_text(encoding="ascii").splitlines()[0])
        if _working_directory(pid) == cluster:
            raise EmbeddedError(f"A PostgreSQL started by hand (process {pid}) is using {cluster}: stop it first.")
    path.unlink(missing_ok=True)


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and somebody else's
        return True
    return True


def _working_directory(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def _short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]


def _folder_error(path: Path, error: OSError) -> EmbeddedError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    return EmbeddedError(f"{path} cannot be written ({error.strerror}): set TRIAGE_DATA_DIR to a folder of yours.")
