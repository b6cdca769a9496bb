"""Ctrl-C and SIGTERM end a command, and all processes that it has started, with one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

STOPPED = "peftlab: stopped; what was measured is kept"
LONGEST = 120.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


AS_IS = "from peftlab.__main__ import entry; entry()"
SLOW = "from peftlab.models.fused import compile; compile.PROCESS = 'tests.cli.slow_compiler'; "


def start(
    *arguments: object, code: str = AS_IS, kernels: Path | None = None
) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell has it.

    `kernels` is another folder for compiled ones than that of all tests.
    """
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **({"NUMBA_CACHE_DIR": str(kernels)} if kernels else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[str], number: int) -> list[str]:
    """Send the signal as a terminal does (SIGINT) or as others do; what is said on stderr."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=LONGEST)
    return said.splitlines()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> set[int]:
    """The processes that this one has started and that live."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.add(int(path.parent.name))
    return found


def wait_for_end(pids: set[int]) -> None:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a process lives on"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_kernels_compile_a_signal_ends_both_processes(
    number: int, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("numba")
    kernels = tmp_path / "kernels"
    process = start(
        "bench", "--model", tiny_checkpoint, "--workspace", tmp_path / "w",
        code=SLOW + AS_IS, kernels=kernels,
    )  # fmt: skip
    wait_for(lambda: (kernels / "begun").exists(), process)
    compilers = children(process.pid)
    assert len(compilers) == 1
    *rest, last = stop(process, number)
    assert process.returncode == 130
    assert last == STOPPED
    assert all("compiling the kernels" in line for line in rest)  # said after two seconds
    assert len(rest) <= 1
    wait_for_end(compilers)


def test_a_signal_ends_a_benchmark_with_its_processes(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    process = start(
        "bench", "--model", tiny_checkpoint, "--rounds", 999, "--workspace", tmp_path / "w"
    )  # fmt: skip
    wait_for(lambda: len(children(process.pid)) >= 2, process)
    sides = children(process.pid)
    *rest, last = stop(process, signal.SIGINT)
    assert process.returncode == 130
    assert last == STOPPED
    assert "Traceback" not in "".join(rest)
    wait_for_end(sides)
