"""A process that ends with the one that started it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.5


def end_with_parent(parent: int) -> None:
    """Arrange that this process is killed when its parent, whose id is `parent`, ends.

    To be called before anything is imported that takes its time: a parent that has ended by then
    is found out too. Elsewhere than on Linux it may take half a second.
    """
    is_told = _ask_linux()
    if os.getppid() != parent:
        _end()
    if not is_told:
        threading.Thread(target=_watch, args=[parent], daemon=True).start()


def _ask_linux() -> bool:
    """Return whether the system will kill this process when its parent ends."""
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) == 0)
    except (OSError, AttributeError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
