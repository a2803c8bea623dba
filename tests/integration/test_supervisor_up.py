"""`triage up`: refuses in one sentence before it starts anything; runs, stops whole, and resumes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triage.domain.errors import InvalidInput, Unavailable
from triage.settings import Settings
from workers.up import run_up


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "var", database_url=None, redis_url=None)


def test_busy_port_is_one_sentence_that_names_the_setting(settings):
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]

        with pytest.raises(Unavailable) as refusal:
            run_up(settings.model_copy(update={"port": port}))

    assert refusal.value.detail == (
        f"Port {port} is in use, perhaps by another `make up`: stop that, or choose another with TRIAGE_PORT"
    )
    assert not settings.data_dir.exists()


def test_busy_port_of_the_scorer_names_its_own_setting(settings):
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as occupant:
        port, scorer_port = (server.getsockname()[1] for server in (free, occupant))
        free.close()

        with pytest.raises(Unavailable, match=rf"^Port {scorer_port} is in use.* with TRIAGE_SCORER_PORT$"):
            run_up(settings.model_copy(update={"port": port, "scorer_port": scorer_port}))

    assert not settings.data_dir.exists()


def test_unknown_lane_is_one_sentence_that_names_the_lanes(settings):
    with pytest.raises(InvalidInput) as refusal:
        run_up(settings.model_copy(update={"worker_lanes": "urgent, slow"}))

    assert refusal.value.detail == "TRIAGE_WORKER_LANES names slow; there are only urgent, live, bulk, capture"


def test_address_of_another_machine_is_one_sentence(settings):
    with pytest.raises(InvalidInput, match=r"^Cannot listen on 192\.0\.2\.1 port 8000 \(.*\): see TRIAGE_HOST"):
        run_up(settings.model_copy(update={"host": "192.0.2.1"}))


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of a user who set no server; with a data folder that the servers' account can reach, and no model to load."""
    folder = Path(tempfile.mkdtemp(prefix="triage-test-"))
    folder.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ours = {"TRIAGE_DATA_DIR": str(folder), "TRIAGE_PORT": str(port), "TRIAGE_WORKER_LANES": ""}
    ours["TRIAGE_SCORER_PORT"] = "0"
    yield {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")} | ours
    shutil.rmtree(folder)


@contextmanager
def running(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`triage up` in a process group of its own, as under make, up to its line "Ready"; and what it said until then."""
    command = [sys.executable, "-m", "workers.cli", "up"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("Ready: "):
                    break
            yield process, said
        finally:
            process.kill()


def mentions(folder: str) -> list[str]:
    """The command lines of processes that name this folder: its servers, and whatever has it in its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:  # it ended just now, or is not ours
            continue
        if folder.encode() in environment + command:
            found.append(command.decode(errors="replace").replace("\0", " "))
    return found


def test_up_serves_stops_whole_and_resumes(environment):
    folder = environment["TRIAGE_DATA_DIR"]
    with running(environment) as (process, said):
        address = said[-1].split()[1]
        with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:  # noqa: S310 -- our own address
            assert answer.status == 200
        assert len(mentions(folder)) >= 5  # up, web, schedule, PostgreSQL, Redis

        os.killpg(process.pid, signal.SIGINT)

        assert process.wait(timeout=20) == 0
    assert mentions(folder) == []
    assert sum("printed this once" in line for line in said) == 2

    with running(environment) as (process, said):
        assert said[-1].startswith("Ready: ")
        assert not any("printed" in line for line in said)  # the accounts are there already

        process.kill()
        process.wait()
    deadline = time.monotonic() + 20
    while mentions(folder):
        assert time.monotonic() < deadline, mentions(folder)
        time.sleep(0.05)
