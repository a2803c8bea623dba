"""The supervisor with real child processes: restarted, killed when hung, all stopped together."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.supervisor import Command, Patience, Supervisor

QUICK = Patience(first_restart=0.05, longest_restart=0.2, stop=5.0, hang_check=0.1)

NOTE_AND_END = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.exit(int(sys.argv[2]))"
NOTE_AND_STAY = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
NOTE_AND_IGNORE = (
    "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
)
SUPERVISE = """
import json, sys
from workers.supervisor import Command, Supervisor
commands = [Command(name, [sys.executable, *argv]) for name, *argv in json.loads(sys.argv[1])]
Supervisor(commands).run()
"""


def python(name: str, *arguments: str) -> Command:
    return Command(name, [sys.executable, *arguments])


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def is_gone(pid: str | int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def run_until(condition: Callable[[], bool], supervisor: Supervisor, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds

    def on_tick() -> None:
        assert time.monotonic() < deadline, "it did not happen in time"
        if condition():
            supervisor.stop()

    supervisor.on_tick = on_tick
    supervisor.run()


@pytest.mark.parametrize("status", ["0", "1"])
def test_child_that_ends_is_started_again_whatever_its_status(tmp_path, status):
    notes = tmp_path / "notes"
    supervisor = Supervisor([python("brief", "-c", NOTE_AND_END, str(notes), status)], patience=QUICK)

    run_until(lambda: len(lines(notes)) >= 3, supervisor)

    assert len(set(lines(notes))) >= 3


def test_pauses_between_restarts_grow_up_to_a_limit(tmp_path, caplog):
    notes = tmp_path / "notes"
    supervisor = Supervisor([python("brief", "-c", NOTE_AND_END, str(notes), "7")], patience=QUICK)

    with caplog.at_level(logging.WARNING, "workers.supervisor"):
        run_until(lambda: len(lines(notes)) >= 5, supervisor)

    ended = [record.__dict__ for record in caplog.records if "ended" in record.getMessage()]
    assert [record["in_seconds"] for record in ended[:4]] == [0.05, 0.1, 0.2, 0.2]
    assert {record["status"] for record in ended} == {7}


def test_program_that_is_not_there_does_not_stop_the_others(tmp_path):
    notes = tmp_path / "notes"
    absent = Command("absent", [str(tmp_path / "absent")])
    supervisor = Supervisor([absent, python("present", "-c", NOTE_AND_STAY, str(notes))], patience=QUICK)

    run_until(lambda: len(lines(notes)) == 1, supervisor)

    assert is_gone(lines(notes)[0])


def test_hung_child_is_killed_and_started_again(tmp_path):
    notes = tmp_path / "notes"
    asked: set[str] = set()

    def is_hung(name: str, pid: int) -> bool:
        asked.add(name)
        return lines(notes)[:1] == [str(pid)]  # only the first one hangs

    commands = [
        python("hanging", "-c", NOTE_AND_IGNORE, str(notes)),
        python("other", "-c", NOTE_AND_STAY, str(tmp_path / "b")),
    ]
    supervisor = Supervisor(commands, is_hung=is_hung, patience=Patience(first_restart=0.05, hang_check=0.1, stop=0.3))

    run_until(lambda: len(lines(notes)) == 2, supervisor)

    assert asked == {"hanging", "other"}
    assert len(lines(tmp_path / "b")) == 1


def test_output_is_passed_on_behind_the_name_to_the_last_word():
    said = io.StringIO()
    talking = "import sys; print('one'); print('two', file=sys.stderr, flush=True); sys.stdout.write('three')"
    supervisor = Supervisor([python("talker", "-u", "-c", talking)], output=said, patience=QUICK)

    run_until(lambda: "three" in said.getvalue(), supervisor)

    assert said.getvalue().splitlines()[:3] == ["talker         one", "talker         two", "talker         three"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_all_and_kills_the_one_that_will_not(tmp_path, number):
    willing, unwilling = tmp_path / "willing", tmp_path / "unwilling"
    commands = [
        python("willing", "-c", NOTE_AND_STAY, str(willing)),
        python("unwilling", "-c", NOTE_AND_IGNORE, str(unwilling)),
    ]
    supervisor = Supervisor(commands, patience=Patience(stop=0.5))
    handler = signal.getsignal(number)

    def on_tick() -> None:
        if lines(willing) and lines(unwilling):
            os.kill(os.getpid(), number)

    supervisor.on_tick = on_tick
    supervisor.run()

    assert supervisor.pids == {}
    assert is_gone(lines(willing)[0])
    assert is_gone(lines(unwilling)[0])
    assert signal.getsignal(number) is handler


def test_killed_supervisor_leaves_no_children(tmp_path):
    notes = tmp_path / "notes"
    children = [["a", "-c", NOTE_AND_IGNORE, str(notes)], ["b", "-c", NOTE_AND_STAY, str(notes)]]
    with subprocess.Popen([sys.executable, "-c", SUPERVISE, json.dumps(children)], stderr=subprocess.DEVNULL) as parent:
        wait_until(lambda: len(lines(notes)) == 2)

        parent.kill()

    wait_until(lambda: all(is_gone(pid) for pid in lines(notes)))


def test_two_children_of_one_name_are_refused():
    with pytest.raises(ValueError, match="the same name"):
        Supervisor([python("same", "-V"), python("same", "-V")])
