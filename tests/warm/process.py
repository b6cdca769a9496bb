"""A `subprocess.Popen`, and a `spawn` for multiprocessing, whose processes the server forks.

A new process takes some eight seconds of a processor to import torch, transformers and peft. The
behaviour of a real process during its imports is left to the tests that start one.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from peftlab.core.process import SPIN_COUNT, SPIN_ROUNDS
from tests.warm.request import Program, Request, program_of
from tests.warm.server import READY

ROOT = Path(__file__).resolve().parents[2]
PR_SET_CHILD_SUBREAPER = 36
READ_WHILE_IMPORTING = (
    "GOMP_", "HF_", "NUMBA_", "OMP_", "PEFTLAB_KERNELS", "PYTHON", "TOKENIZERS_",
    "TRANSFORMERS_", "WANDB_",
)  # fmt: skip
"""The prefixes of environment variables that libraries read once, when they are imported."""
READ_LATER = ("PYTHONBREAKPOINT",)
"""The variables with such prefixes that are not read then. Ray sets this one with a cluster."""
SET_BY_IMPORTS = {SPIN_COUNT: str(SPIN_ROUNDS), "TRANSFORMERS_VERBOSITY": "error"}
"""The values that the product gives to unset variables before it imports the rest."""
AT_FIRST = dict(os.environ)
"""The environment of the server, as it is before a test changes it."""
EXECUTE = inspect.signature(subprocess.Popen._execute_child)
REALLY_SPAWN = util.spawnv_passfds


class WarmPopen(subprocess.Popen[Any]):
    """A process of this Python that has imported everything, or a real process if necessary."""

    def _execute_child(self, *given: Any) -> None:
        told = SimpleNamespace(**EXECUTE.bind(self, *given).arguments)
        program = program_of([os.fspath(one) for one in told.args])
        environment = dict(os.environ if told.env is None else told.env)
        if program is None or not _can_fork(environment):
            super()._execute_child(*given)
            return
        ours = (told.p2cread, told.c2pwrite, told.errwrite)
        self.pid = _forked(
            program,
            {number: number if own == -1 else own for number, own in enumerate(ours)},
            environment,
            folder=str(told.cwd or Path.cwd()),
            is_new_session=told.start_new_session,
        )
        self._child_created = True
        self._close_pipe_fds(
            told.p2cread, told.p2cwrite, told.c2pread, told.c2pwrite, told.errread, told.errwrite
        )


def spawn(executable: bytes, command: Sequence[str | bytes], passed: Sequence[int]) -> int:
    """Start what `multiprocessing` would, with the descriptors that are passed; return its id."""
    words = [os.fsdecode(word) for word in command]
    code = words.index("-c") + 1  # the options before it are those of this process
    program = Program(kind="code", text=words[code], arguments=tuple(words[code + 1 :]))
    if not _can_fork(os.environ):
        return REALLY_SPAWN(executable, command, passed)
    descriptors = {int(number): int(number) for number in (0, 1, 2, *passed)}
    return _forked(program, descriptors, dict(os.environ), folder=str(Path.cwd()))


def _forked(
    program: Program,
    descriptors: Mapping[int, int],
    environment: dict[str, str],
    *,
    folder: str,
    is_new_session: bool = False,
) -> int:
    """Make the server fork the program, and return its id; descriptors go by their number there."""
    request = Request(
        program=program,
        folder=folder,
        environment=environment,
        parent=os.getpid(),
        descriptors=tuple(descriptors),
        is_new_session=is_new_session,
        blocked_signals=tuple(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        ignores_interrupts=signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    )
    with adopting(), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(server())
        told = request.model_dump_json().encode()
        socket.send_fds(connection, [told], [*descriptors.values()])
        return int(connection.recv(64))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with the arguments in the project's folder, ignoring warnings, to its end."""
    command = [sys.executable, "-W", "ignore", *arguments]
    kept = subprocess.PIPE
    with WarmPopen(command, cwd=ROOT, stdout=kept, stderr=kept, text=True) as process:
        out, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


SUBPROCESS = SimpleNamespace(**{**vars(subprocess), "Popen": WarmPopen})
"""The module subprocess as the product may use it in a test, with warm processes."""


@cache
def server() -> str:
    """Start the server of this process, once; return the path of its socket."""
    folder = tempfile.mkdtemp(prefix="peftlab-warm-")
    path = f"{folder}/socket"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.warm.server", path, str(os.getpid())],
        cwd=ROOT,
        env=AT_FIRST,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == READY
    process.stdout.close()

    def end() -> None:
        process.kill()
        process.wait()
        Path(path).unlink(missing_ok=True)
        Path(folder).rmdir()

    atexit.register(end)
    return path


@contextmanager
def adopting() -> Iterator[None]:
    """Make orphans among this process's descendants its children within the block."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)


def _can_fork(environment: Mapping[str, str]) -> bool:
    """Return whether a process in the environment would import the same as the server."""
    return sys.platform == "linux" and _imports_by(environment) == _imports_by(AT_FIRST)


def _imports_by(environment: Mapping[str, str]) -> dict[str, str]:
    known = {**SET_BY_IMPORTS, **environment}
    return {
        name: value
        for name, value in known.items()
        if name.startswith(READ_WHILE_IMPORTING) and name not in READ_LATER
    }
