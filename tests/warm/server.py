"""The process from which others are forked: `python -m tests.warm.server SOCKET PARENT`.

It imports what they need and computes nothing, so that it has only one thread: neither OpenMP's
threads nor a lock that another thread holds would survive a fork. Every connection is one process.
The request defines the environment, folder, files and signals of the forked process.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import types
import warnings
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from peftlab.core.parent import end_with_parent
from peftlab.core.process import quiet_libraries
from tests.warm.locks import renew_in_forks
from tests.warm.request import Request

FILTERS = [*warnings.filters]
IMPORTED = (
    "peftlab.cli.app",
    "peftlab.cli.commands",
    "peftlab.engine.bench",
    "peftlab.engine.rate",
    "peftlab.engine.run",
    "peftlab.engine.trainer",
    "peftlab.runner.execute",
    "peftlab.runner.messages",
    "peftlab.runner.plan",
    "peftlab.runner.progress",
    "peftlab.runner.tune",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
)
IF_INSTALLED = ("optuna", "s3fs")
LONGEST_REQUEST = 1 << 20
MOST_FILES = 32
ABOVE_ALL = 500
"""A number above the numbers of all open files."""
READY = b"ready\n"
MAY_FORK = "jemalloc_bg_thd"
"""The thread with which pyarrow's allocator returns memory; it handles forks itself."""


def main(path: str, parent: int) -> None:
    """Serve until the parent ends."""
    renew_in_forks()
    end_with_parent(parent)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    import_all()
    threads = {file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")}
    threads -= {MAY_FORK, Path("/proc/self/comm").read_text().strip()}
    assert not threads, f"nothing may be forked: an import has started {threads}"
    gc.collect()
    gc.freeze()  # a search for garbage in a child would copy every page
    os.write(1, READY)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that only fork
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _fork(connection)
        connection.close()


def import_all() -> None:
    """Import what forked processes would, except the module that each of them runs."""
    quiet_libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in IMPORTED:
            importlib.import_module(name)
        for name in IF_INSTALLED:
            with suppress(ImportError):
                importlib.import_module(name)


def _fork(connection: socket.socket) -> NoReturn:
    """Fork the requested process, and end, so that the process that asked adopts it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, files, _, _ = socket.recv_fds(connection, LONGEST_REQUEST, MOST_FILES)
    request = Request.model_validate_json(told)
    is_adopted = request.parent is not None
    parent = os.getpid() if request.parent is None else request.parent
    child = os.fork()
    if child == 0:
        _be(request, parent, files, connection)
    if not is_adopted:
        for file in files:
            os.close(file)
        _tend(child, connection)
    os._exit(0)


def _tend(child: int, connection: socket.socket) -> None:
    """Send the child's exit status by the connection; kill the child if that is closed before."""
    watched = os.pidfd_open(child)
    if watched not in select.select([watched, connection], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(OSError):
        connection.send(str(status).encode())


def _be(request: Request, parent: int, files: list[int], connection: socket.socket) -> NoReturn:
    """Run the process to its end."""
    status = 1
    try:
        while os.getppid() != parent:
            time.sleep(0.0005)
        if request.parent is None:
            end_with_parent(parent)
        connection.send(str(os.getpid()).encode())
        connection.close()
        _become(request, files)
        _run(request)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)


def _become(request: Request, files: list[int]) -> None:
    """Give this process everything that a new one would inherit from its parent."""
    if request.is_new_session:
        os.setsid()
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, ABOVE_ALL) for file in files]
    for file in files:
        os.close(file)
    for number, file in zip(request.descriptors, aside, strict=True):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    tempfile.tempdir = None
    handler = signal.SIG_IGN if request.ignores_interrupts else signal.default_int_handler
    signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, request.blocked_signals)
    if request.program.is_quiet:
        warnings.simplefilter("ignore")
    else:
        warnings.filters[:] = FILTERS
        warnings._filters_mutated()  # type: ignore[attr-defined]


def _run(request: Request) -> None:
    program = request.program
    match program.kind:
        case "module":
            sys.argv = [program.text, *program.arguments]
            sys.path[0] = request.folder
            with warnings.catch_warnings():
                runpy.run_module(program.text, run_name="__main__", alter_sys=True)
        case "code":
            sys.argv = ["-c", *program.arguments]
            sys.path[0] = ""
            module = types.ModuleType("__main__")
            sys.modules["__main__"] = module
            exec(compile(program.text, "<string>", "exec"), module.__dict__)
        case "file":
            sys.argv = [program.text, *program.arguments]
            sys.path[0] = str(Path(program.text).parent)
            runpy.run_path(program.text, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
