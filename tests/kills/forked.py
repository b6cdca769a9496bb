"""The workers of a pool, forked from their driver, since importing everything takes seconds.

From then on, such a worker runs the product's own code. That a new process ends with its driver
also while it imports is for tests/core/test_parent.py and tests/runner/executors/test_pool.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from peftlab.core.parent import end_with_parent
from peftlab.runner import worker, worker_process

MOST_FILES = 1024


def fork_workers(began: Callable[[], None], ended: Callable[[], None]) -> None:
    """Make the workers of this process be forked, with these calls first and last in each."""

    def popen(_: Any, *, stderr: BinaryIO, **__: Any) -> Forked:
        return Forked(stderr, began, ended)

    worker_process.subprocess = SimpleNamespace(
        Popen=popen, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )


class Forked:
    """One worker, with as much of a `subprocess.Popen` as the pool uses."""

    def __init__(self, log: BinaryIO, began: Callable[[], None], ended: Callable[[], None]) -> None:
        driver = os.getpid()
        their_input, our_output = os.pipe()
        our_input, their_output = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        self._status: int | None = None
        if self.pid == 0:
            for number, descriptor in enumerate((their_input, their_output, log.fileno())):
                os.dup2(descriptor, number)
            os.closerange(3, MOST_FILES)  # a lock that is held here would outlive the driver
            _work(driver, began, ended)
        os.close(their_input)
        os.close(their_output)
        self.stdin = os.fdopen(our_output, "wb")
        self.stdout = os.fdopen(our_input, "rb")

    def send_signal(self, number: int) -> None:
        """Send the worker the signal, if it is there."""
        if self._poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the worker at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status, once it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self._poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a worker", timeout or 0.0)
            time.sleep(0.005)
        return status

    def _poll(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


def note_worker(folder: Path) -> None:
    """Add this process to those that `alive` finds."""
    (folder / str(os.getpid())).touch()


def alive(folder: Path) -> list[int]:
    """Return the workers that are noted in the folder and have not ended."""
    found = []
    for file in folder.iterdir():
        try:
            state = Path("/proc", file.name, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.append(int(file.name))
    return sorted(found)


def _work(driver: int, began: Callable[[], None], ended: Callable[[], None]) -> None:
    """Run the process of a worker, as worker.py does."""
    status = 1
    try:
        os.setsid()
        end_with_parent(driver)
        began()
        sys.stdin = os.fdopen(0, encoding="utf-8")
        output = os.dup(1)
        os.dup2(2, 1)
        worker.main(output)
        ended()
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)
