"""Point this process, and the children it starts, at other servers for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triage import queue
from triage.db.session import engine
from triage.settings import current
from workers.embedded import EmbeddedServers


@contextmanager
def installation(folder: Path, **settings: str) -> Iterator[EmbeddedServers]:
    """Durable servers and evidence below ``folder``, as `triage up` lays them out; not migrated."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    with EmbeddedServers(folder / "servers") as running:
        addresses = {"TRIAGE_DATABASE_URL": running.database_url, "TRIAGE_REDIS_URL": running.redis_url}
        with pointed_at(addresses | {"TRIAGE_DATA_DIR": str(folder)} | settings):
            yield running


@contextmanager
def pointed_at(ours: dict[str, str]) -> Iterator[None]:
    """Set these variables for as long as the block runs."""
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
