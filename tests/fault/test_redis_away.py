"""A worker that is started while Redis is away waits for it, and then works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triage import queue
from workers.embedded import EmbeddedServers

pytestmark = pytest.mark.fault


def test_worker_waits_for_redis_and_says_so_once(database: EmbeddedServers, tmp_path: Path) -> None:
    socket = queue.connection().connection_pool.connection_kwargs["path"]
    late = tmp_path / "redis.sock"
    command = [sys.executable, "-m", "workers.cli", "worker", "capture", "--burst"]
    environment = os.environ | {"TRIAGE_REDIS_URL": f"unix://{late}"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stderr is not None
            said = worker.stderr.readline()
            late.symlink_to(socket)  # Redis is back
            _, rest = worker.communicate(timeout=60)
        finally:
            worker.kill()

    assert "waiting for it" in said
    assert "waiting for it" not in rest
    assert worker.returncode == 0, rest
