"""A worker process around a model of the test's own: ``python -m tests.fault.odd_worker KIND [WHAT IT NEEDS]``.

The process, its queue, its leases and its limits are the real ones; only what reads the posts is not.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.factories import scores
from triage import log
from triage.domain.scores import Scores
from triage.queue import Bell
from workers import jobs, worker

#: A post with this word in it is the one that the odd model cannot stand.
POISON = "marzipan"
#: What the greedy one takes.
BYTES_PER_CHARACTER = 100_000


def start(*kind: str, **settings: str) -> "subprocess.Popen[bytes]":
    """Such a worker, on the bulk lane. Whoever starts it ends it."""
    ours = {f"TRIAGE_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "tests.fault.odd_worker", *kind]
    return subprocess.Popen(command, env=os.environ | ours, stderr=subprocess.DEVNULL)


class Slow:
    """Takes its time over every batch."""

    version = "slow"

    def score(self, texts: Sequence[str]) -> list[Scores]:
        time.sleep(0.5)
        return [scores(review=0.9, TTL=0.9) for _ in texts]


class Hanging:
    """Hangs for ever in one post."""

    version = "hanging"

    def score(self, texts: Sequence[str]) -> list[Scores]:
        while any(POISON in text for text in texts):
            time.sleep(1)
        return [scores(review=0.9, TTL=0.9) for _ in texts]


class Greedy:
    """Takes memory by the character, from a process that may have ``megabytes`` more than it has, and no more."""

    version = "greedy"

    def __init__(self, megabytes: int) -> None:
        with open("/proc/self/statm") as pages:
            limit = int(pages.read().split()[0]) * resource.getpagesize() + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def score(self, texts: Sequence[str]) -> list[Scores]:
        taken = [bytearray(len(text) * BYTES_PER_CHARACTER) for text in texts]
        return [scores(review=0.9, TTL=0.9) for _ in taken]


class Broken:
    """Fails on every text, and writes down when and on what."""

    version = "broken"

    def __init__(self, diary: str) -> None:
        self._diary = diary

    def score(self, texts: Sequence[str]) -> list[Scores]:
        with open(self._diary, "a") as diary:
            diary.write(json.dumps([time.monotonic(), len(texts), texts[0]]) + "\n")
        raise RuntimeError("this model never works")


def _odd(kind: str, *more: str) -> "Slow | Hanging | Greedy | Broken":
    match kind:
        case "slow":
            return Slow()
        case "hanging":
            return Hanging()
        case "greedy":
            return Greedy(int(more[0]))
        case _:
            return Broken(more[0])


if __name__ == "__main__":
    log.configure()
    odd = _odd(*sys.argv[1:])
    jobs.pipeline = lambda: odd  # type: ignore[assignment,return-value]
    worker.run(Bell.BULK)
