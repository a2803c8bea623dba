"""Servers of their own for each module of faults: durable ones, because the tests kill them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triage import queue
from triage.db.migrate import upgrade
from triage.db.session import engine
from triage.settings import current
from workers.embedded import EmbeddedServers

#: What a worker did not finish is taken again after seconds, not after minutes.
_IMPATIENT = {"TRIAGE_SCORING_LEASE_SECONDS": "3", "TRIAGE_SCORING_RETRY_SECONDS": "1"}


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    """In place of the run's: what a killed one had acknowledged is there when it is back, as in production."""
    folder = Path(tempfile.mkdtemp(prefix="triage-fault-"))
    folder.chmod(0o711)
    with EmbeddedServers(folder / "servers") as running:
        addresses = {
            "TRIAGE_DATABASE_URL": running.database_url,
            "TRIAGE_REDIS_URL": running.redis_url,
            "TRIAGE_DATA_DIR": str(folder / "data"),
        }
        with _settings(addresses | _IMPATIENT):
            upgrade()
            yield running
    shutil.rmtree(folder)


@contextmanager
def _settings(ours: dict[str, str]) -> Iterator[None]:
    """Point this process and its children elsewhere, and back."""
    before = {name: os.environ.get(name) for name in ours}
    try:
        _set(ours)
        yield
    finally:
        engine().dispose()
        queue.connection().close()
        _set(before)


def _set(values: "dict[str, str] | dict[str, str | None]") -> None:
    if engine.cache_info().currsize:
        engine().dispose()  # else its idle connections would be found open by the garbage collector
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    for cached in (current, engine, queue.connection):
        cached.cache_clear()
