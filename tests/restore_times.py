"""How large an installation is, and how long backup and restore take: figures of docs/operator.md and scaling.md.

    python -m tests.restore_times 100000

Invented posts with scores of the test's own, on servers in a temporary folder; no model. Nothing is left behind.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from tests.fault import hands
from tests.fault.elsewhere import installation
from tests.people import add_people
from triage import audit, queue
from triage.db.migrate import upgrade
from triage.db.session import engine, transaction

_AT_ONCE = 1000
_NUMBER = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
_SIZE = "SELECT pg_database_size(current_database())"
_WORDS = "see you at the bus stop at half three and bring your friends because you will need them all of the time"


def _triage(*arguments: str, **environment: str) -> float:
    """Run a command; the seconds that it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "workers.cli", *arguments]
    subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _fill(number: int) -> None:
    with transaction() as session:
        people = add_people(session)
    for first in range(0, number, _AT_ONCE):
        hands.accept(people, [f"{_WORDS[: 40 + n % 60]} {n}" for n in range(first, first + _AT_ONCE)])
        while claims := hands.claim(limit=32):
            hands.record(claims)
    sealed = 1
    while sealed:
        with transaction() as session:
            sealed = audit.seal(session)


def _one(query: str) -> int:
    with engine().connect() as connection:
        return int(connection.scalar(text(query)) or 0)


def _print(name: str, value: float, unit: str) -> None:
    sys.stdout.write(f"{name:<40}{value:>14,.1f} {unit}\n")
    sys.stdout.flush()


def run(number: int) -> None:
    """Fill, measure, back up, restore elsewhere, and print."""
    folder = Path(tempfile.mkdtemp(prefix="triage-times-"))
    folder.chmod(0o711)
    try:
        with installation(folder / "one"):
            upgrade()
            wal = _one("SELECT pg_current_wal_insert_lsn() - '0/0'")
            empty, numbers = _one(_SIZE), _one(_NUMBER)
            _fill(number)
            _print("reports", number, "")
            _print("WAL of a post", (_one("SELECT pg_current_wal_insert_lsn() - '0/0'") - wal) / number, "bytes")
            _print("database", _one(_SIZE) / 1e6, "MB")
            _print("database, of a post", (_one(_SIZE) - empty) / number, "bytes")
            _print("events of a post", _one("SELECT count(*) FROM events") / number, "")
            _print("transactions of a post", (_one(_NUMBER) - numbers) / number, "")
            _print("Redis", queue.connection().info("memory")["used_memory"] / 1e6, "MB")
            _print("triage backup", _triage("backup", str(folder / "backup")), "s")
        size = sum(file.stat().st_size for file in (folder / "backup").rglob("*") if file.is_file())
        _print("backup", size / 1e6, "MB")
        (folder / "two").mkdir(mode=0o711)
        restored = _triage("restore", str(folder / "backup"), TRIAGE_DATA_DIR=str(folder / "two"))
        _print("triage restore", restored, "s")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    run(int(sys.argv[1]))
