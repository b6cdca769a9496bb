"""Ctrl-C and SIGTERM: the first asks the work to stop at its next good moment, a second at once."""

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
    """Whether the work should come to a good place to stop, and stop there."""
    return _requested.is_set()


def stop_if_requested() -> None:
    """Raise KeyboardInterrupt if the work should stop; called where stopping loses nothing."""
    if _requested.is_set():
        raise KeyboardInterrupt


def request_stop() -> None:
    """Ask the work in this process to stop, as a signal does."""
    _requested.set()


def forget_request() -> None:
    """Work that begins now is not asked to stop."""
    _requested.clear()


@contextmanager
def stopping_gently(words: str = "") -> Iterator[None]:
    """Within, the first SIGINT or SIGTERM makes a request; the next ones raise KeyboardInterrupt.

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
