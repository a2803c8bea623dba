"""Child processes that cannot outlive the process that started them.

Linux only: elsewhere a killed parent leaves its children running, and the next start reports them.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
# Loaded once, here: between fork and exec nothing may be imported or allocated.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel send `number` to the child when its parent dies, SIGKILL included.

    The kernel watches the thread that forked, not the process: start such children from the main thread.
    """
    libc = _libc
    if libc is None:
        return None
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # the parent died between fork and prctl: nobody would ever tell us
            os._exit(1)

    return in_child
