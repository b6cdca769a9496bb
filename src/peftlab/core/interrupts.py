"""Ctrl-C and SIGTERM, which are treated alike.

While a study runs, the first asks the work to stop at its next good moment and the second stops it
at once; anywhere else the first does that.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STDERR = 2
_requested = threading.Event()


def stop_requested() -> bool:
    """Return whether the work should stop at the next safe point."""
    return _requested.is_set()


def stop_if_requested() -> None:
    """Raise KeyboardInterrupt if the work should stop; called only where nothing would be lost."""
    if _requested.is_set():
        raise KeyboardInterrupt


def request_stop() -> None:
    """Ask the work in this process to stop, as a signal does."""
    _requested.set()


def forget_request() -> None:
    """Forget that work was asked to stop: what begins now was not."""
    _requested.clear()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt within the block, as SIGINT does.

    Without effect in a thread that is not the main one, which gets no signals.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def was_interrupted(error: BaseException) -> bool:
    """Return whether the error is a KeyboardInterrupt, or one that a library has wrapped."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        if isinstance(now, KeyboardInterrupt):
            return True
        seen.add(id(now))
        now = now.__cause__ or now.__context__
    return False


def end_at_once() -> None:
    """Let a signal end the process silently from now on: all that mattered has been said."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def children_ignore_interrupts() -> Iterator[None]:
    """Shield the processes that are started within the block from SIGINT.

    A terminal sends it to all of its processes, and their parent ends them. What comes meanwhile
    is delivered to this process afterwards.
    """
    # Starting it unblocks SIGINT, so it is not left to the first process that is spawned.
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stopping_gently(words: str = "") -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM within the block into a request; the next ones raise.

    `words` are then said on the standard error. Without effect in a thread that is not the main
    one, which gets no signals.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if _requested.is_set():
            raise KeyboardInterrupt
        _requested.set()
        if words:
            os.write(STDERR, f"{words}\n".encode())

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested.clear()
