"""What each process of the service takes, in MB and in connections to PostgreSQL: figures of docs/scaling.md.

    python -m tests.process_sizes [NAME ...]

Each works for some seconds on servers in a temporary folder: a hundred invented posts, requests, tasks that are due.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select, text

from tests.fault import hands
from tests.fault.elsewhere import installation
from tests.fault.promises import all_open, count, wait_until
from tests.people import People, add_people
from tests.scorers import free_port
from triage.db import WorkerBeat
from triage.db.migrate import upgrade
from triage.db.session import transaction

_LONG = 600


@contextmanager
def _process(*arguments: str, **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "workers.cli", *arguments]
    environment = os.environ | {f"TRIAGE_{name.upper()}": value for name, value in settings.items()}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _show(name: str, process: "subprocess.Popen[bytes]") -> None:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    now, most = (int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) / 1000 for field in ("VmRSS", "VmHWM"))
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    sys.stdout.write(f"{name:<16}{now:8.0f} MB{most:8.0f} MB at most{count(text(others)):6} connections\n")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 -- ours
            return True
    except OSError:
        return False


def _beats() -> bool:
    return count(select(func.count()).select_from(WorkerBeat)) > 0


def _served(name: str, path: str, setting: str) -> None:
    port = free_port()
    with _process(name, **{setting: str(port)}) as process:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), seconds=_LONG, what=name)
        for _ in range(20):
            _answers(f"http://127.0.0.1:{port}{path}")
        _show(name, process)


def _worked(name: str, *arguments: str, when: Callable[[], bool] = _beats) -> None:
    with transaction() as session:
        session.execute(WorkerBeat.__table__.delete())
    with _process(*arguments) as process:
        wait_until(when, seconds=_LONG, what=name)
        time.sleep(5)
        _show(name, process)


def _fill() -> People:
    with transaction() as session:
        people = add_people(session)
    hands.accept(people, [f"see you at the bus stop at half three, number {n}" for n in range(100)])
    return people


def _migrated() -> None:
    with _process("migrate") as migrate:
        _, _, used = os.wait4(migrate.pid, 0)
    sys.stdout.write(f"{'migrate':<16}{used.ru_maxrss / 1000:8.0f} MB at most\n")


#: The worker needs the trained model, and first everything that waits.
PROCESSES: dict[str, Callable[[], None]] = {
    "worker": lambda: _worked("worker", "worker", "bulk", when=all_open),
    "worker-capture": lambda: _worked("worker-capture", "worker", "capture"),
    "schedule": lambda: _worked("schedule", "schedule"),
    "web": lambda: _served("web", "/ready", "port"),
    "scorer": lambda: _served("scorer", "/ready", "scorer_port"),
    "migrate": _migrated,
}


def run(names: Sequence[str]) -> None:
    """Start one after the other, let it work, print what it takes."""
    folder = Path(tempfile.mkdtemp(prefix="triage-sizes-"))
    try:
        with installation(folder):
            upgrade()
            _fill()
            for name in names or PROCESSES:
                PROCESSES[name]()
                sys.stdout.flush()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    run(sys.argv[1:])
