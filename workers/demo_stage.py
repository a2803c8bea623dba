"""A running installation for the scripted day: the one that is there, or one started for it and stopped after it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from triage.domain.errors import Unavailable
from triage.settings import current
from workers.demo_visitors import ask
from workers.lifeline import die_with_parent

#: The first start of all unpacks servers and loads a model.
_START_SECONDS = 300
_STOP_SECONDS = 60


@contextmanager
def running() -> Iterator[str]:
    """The address of an installation that answers; ``triage up`` is started where none does, and stopped at the end.

    Raises:
        Unavailable: it could not be started; its own reason stands above.
    """
    home = f"http://{current().host}:{current().port}"
    if _answers(home):
        yield home
        return
    typer.echo(f"Nothing answers at {home}: starting it ...")
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "up"], preexec_fn=die_with_parent(signal.SIGINT), start_new_session=True
    )
    try:
        _wait(process, home)
        current.cache_clear()  # it has written where its servers are
        yield home
        if sys.stdin.isatty():
            input("Press Enter to stop the service. ")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECONDS)


def _wait(process: subprocess.Popen[bytes], home: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while not _answers(home):
        if process.poll() is not None or time.monotonic() > until:
            raise Unavailable("The service did not start; its reason stands above")
        time.sleep(0.5)


def _answers(home: str) -> bool:
    try:
        return ask(home, "GET", "/health").status == 200
    except Unavailable:
        return False
