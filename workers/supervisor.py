"""Keep a set of child processes running: restart what ends, kill what hangs, stop all of them together.

Knows nothing of databases or queues: whether a child hangs is asked of a callable.
"""

import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TextIO

from workers.lifeline import die_with_parent

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.2
_LONGEST_LINE = 65_536  # bytes; a longer line is forwarded in pieces


@dataclass(frozen=True)
class Command:
    """One process to keep running. `environment` is the whole of it; None means ours."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Patience:
    """How long the supervisor waits, in seconds."""

    first_restart: float = 0.5
    longest_restart: float = 30.0
    healthy_after: float = 60.0  # a child that ran this long starts again at `first_restart`
    stop: float = 10.0  # between SIGTERM and SIGKILL
    hang_check: float = 2.0  # between two questions whether a child hangs


@dataclass
class _Child:
    command: Command
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0
    delay: float = 0.0
    unfinished: bytes = b""


@dataclass
class Supervisor:
    """Runs the commands until `stop()` is called or SIGINT or SIGTERM arrives.

    A child that ends is started again whatever its exit status: a worker that lost Redis ends with 0. Its standard
    output and error go to `output`, each line behind its name. `is_hung(name, pid)` is asked every few seconds about
    every running child; a hung one is killed and started again. `on_tick()` is called several times a second and must
    not block. If this process is killed, the kernel kills the children. Start it from the main thread.
    """

    commands: Sequence[Command]
    is_hung: Callable[[str, int], bool] = lambda _name, _pid: False
    on_tick: Callable[[], None] = lambda: None
    patience: Patience = field(default_factory=Patience)
    output: TextIO = field(default_factory=lambda: sys.stderr)
    _stopping: bool = field(default=False, init=False)
    _interrupts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._children = {command.name: _Child(command) for command in self.commands}
        if len(self._children) != len(self.commands):
            raise ValueError("two commands have the same name")
        self._selector = selectors.DefaultSelector()
        self._next_hang_check = 0.0

    def stop(self) -> None:
        """Ask `run` to end. Safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Run the children until asked to stop; then stop them and return."""
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping:
                self._start_due()
                self._forward(_TICK_SECONDS)
                self._reap()
                self._kill_hung()
                self.on_tick()
        finally:
            self._stop_all()
            self._selector.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the children that run now."""
        return {name: child.process.pid for name, child in self._children.items() if child.process is not None}

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1  # the second Ctrl-C ends the patience of `_stop_all`
        self._stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.process is None and child.start_at <= now:
                self._start(child)

    def _start(self, child: _Child) -> None:
        command = child.command
        child.started = time.monotonic()
        try:
            process = subprocess.Popen(
                list(command.argv),
                env=None if command.environment is None else dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches only us, and we stop them in good order
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        except OSError as error:  # no memory, no process ids left, the program is gone: try again later
            logger.error("cannot start child", extra={"child": command.name, "reason": error.strerror})
            self._plan_restart(child)
            return
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        child.process = process

    def _plan_restart(self, child: _Child) -> None:
        now = time.monotonic()
        if now - child.started >= self.patience.healthy_after or not child.delay:
            child.delay = self.patience.first_restart
        else:
            child.delay = min(child.delay * 2, self.patience.longest_restart)
        child.start_at = now + child.delay

    def _forward(self, timeout: float) -> None:
        """Pass on what the children wrote; wait up to `timeout` seconds for some of it."""
        for key, _ in self._selector.select(timeout):
            child: _Child = key.data
            assert child.process is not None
            self._read(child)

    def _read(self, child: _Child) -> bool:
        """Pass on the whole lines of what is there; whether there was anything."""
        assert child.process is not None
        assert child.process.stdout is not None
        try:
            data = os.read(child.process.stdout.fileno(), _LONGEST_LINE)
        except BlockingIOError:
            return False
        if not data:  # closed: stop watching it, or select would return at once for ever
            self._unwatch(child)
            return False
        *lines, child.unfinished = (child.unfinished + data).split(b"\n")
        if len(child.unfinished) >= _LONGEST_LINE:
            lines, child.unfinished = [*lines, child.unfinished], b""
        self._print(child, lines)
        return True

    def _print(self, child: _Child, lines: list[bytes]) -> None:
        for line in lines:
            self.output.write(f"{child.command.name:<14} {line.decode(errors='replace')}\n")
        self.output.flush()

    def _unwatch(self, child: _Child) -> None:
        assert child.process is not None
        assert child.process.stdout is not None
        if child.process.stdout in self._selector.get_map():
            self._selector.unregister(child.process.stdout)

    def _reap(self) -> None:
        for child in self._children.values():
            if child.process is None or child.process.poll() is None:
                continue
            status = child.process.returncode
            self._forget(child)
            if not self._stopping:
                self._plan_restart(child)
                logger.warning(
                    "child ended; starting it again",
                    extra={"child": child.command.name, "status": status, "in_seconds": child.delay},
                )

    def _forget(self, child: _Child) -> None:
        """Pass on the last words of a child that ended, and let go of it."""
        assert child.process is not None
        assert child.process.stdout is not None
        while self._read(child):  # until empty, not until closed: a grandchild may hold the pipe open
            pass
        if child.unfinished:
            self._print(child, [child.unfinished])
        self._unwatch(child)
        child.process.stdout.close()
        child.unfinished, child.process = b"", None

    def _kill_hung(self) -> None:
        now = time.monotonic()
        if now < self._next_hang_check:
            return
        self._next_hang_check = now + self.patience.hang_check
        for name, child in self._children.items():
            if child.process is not None and self.is_hung(name, child.process.pid):
                logger.error("child hangs; killing it", extra={"child": name})
                self._signal(child, signal.SIGKILL)

    def _stop_all(self) -> None:
        """SIGTERM to all in the order given, so that the web stops taking reports first; then SIGKILL."""
        self._stopping = True
        for child in self._children.values():
            self._signal(child, signal.SIGTERM)
        deadline = time.monotonic() + self.patience.stop
        while self.pids and time.monotonic() < deadline and self._interrupts < 2:
            self._forward(0.05)
            self._reap()
        for name, child in self._children.items():
            if child.process is not None:
                logger.warning("child does not stop; killing it", extra={"child": name})
                self._signal(child, signal.SIGKILL)
                child.process.wait()
        self._reap()

    def _signal(self, child: _Child, number: signal.Signals) -> None:
        if child.process is not None and child.process.poll() is None:
            child.process.send_signal(number)
