"""A process that goes with the one that started it, whatever kills that one."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
LOOK_EVERY_S = 0.5
ORPHANED = 1
"""Exit status of a process whose parent is gone."""


def die_with(parent: int) -> None:
    """Kills this process at once when the process `parent`, which started it, ends. Call it first, on the main thread.

    Linux: the kernel does it, when the *thread* that started this process ends: start services from a thread that stays.
    Elsewhere a thread looks twice a second.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_look, args=(parent,), daemon=True, name="parent").start()
    if os.getppid() != parent:
        # It ended before the kernel knew.
        os._exit(ORPHANED)


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(ORPHANED)
