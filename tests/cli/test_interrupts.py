"""Ctrl-C and SIGTERM end a command, and all processes that it has started, with one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peftlab.store.workspace import Workspace
from tests.warm.process import WarmPopen

STOPPED = "peftlab: stopped"
KEPT = f"{STOPPED}; what was measured is kept"
LONGEST = 600.0
AS_IS = "from peftlab.__main__ import entry; entry()"
SLOW = """
import os
os.environ["NUMBA_CACHE_DIR"] = {kernels!r}
from peftlab.models.fused import compile
compile.PROCESS = "tests.cli.slow_compiler"
"""
"""The code that has kernels compiled into a folder of their own by a process that never ends."""

STARTED: list[subprocess.Popen[str]] = []

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Handle SIGINT even if the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.communicate()


def start(*arguments: object, code: str = AS_IS) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, as a shell does."""
    process = WarmPopen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


def stop(process: subprocess.Popen[str], number: int) -> list[str]:
    """Send the signal, SIGINT as a terminal does, and return what is written to stderr."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=LONGEST)
    STARTED.remove(process)
    return said.splitlines()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> set[int]:
    """Return the living processes that this one has started."""
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
    code = SLOW.format(kernels=str(kernels)) + AS_IS
    process = start("bench", "--model", tiny_checkpoint, "--workspace", tmp_path / "w", code=code)
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


REPORT = "report small-study --workspace {w} --output {w}/page"
MOMENTS = {
    "planning": ("run {study} --workspace {w} --seeds 9", "peftlab.runner.plan.make_plan"),
    "expanding": ("run {study} --workspace {w} --seeds 9", "peftlab.study.trials.expand"),
    "reading the results": (REPORT, "peftlab.report.write.make_view"),
    "drawing": (REPORT, "peftlab.report.pages.files.draw"),
    "writing": (REPORT, "peftlab.core.files.sync_files"),
    "predicting": ("predict {trial} --text a --workspace {w}", "peftlab.engine.predict.base_model"),
    "exporting": (
        "export {trial} --workspace {w} --output {w}/out", "peftlab.outputs.export.base_of",
    ),
    "linting": ("lint {study}", "peftlab.study.remarks.lint.lint"),
}  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_at_any_moment_a_signal_is_one_line_and_leaves_nothing_half(
    moment: str,
    number: int,
    peftlab: Callable[..., Any],
    workspace: Path,
    study_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, place = MOMENTS[moment]
    with Workspace.open(workspace, create=False) as opened:
        trial = opened.trials()[0].trial.id
    files = {path for path in workspace.rglob("*") if path.is_file()}
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(number)
        time.sleep(60)

    monkeypatch.setattr(place, interrupted)
    given = {"study": study_file, "w": workspace, "trial": trial}
    answer = peftlab(*line.format(**given).split())
    assert answer.status == 130
    assert answer.out == ""
    is_run = line.startswith("run")
    assert answer.err.splitlines()[-1] == (KEPT if is_run else STOPPED), "predict measures nothing"
    assert answer.err.count("\n") == 1
    assert {path for path in workspace.rglob("*") if path.is_file()} == files
    assert not list(workspace.rglob(".writing-*"))
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_what_a_library_makes_of_an_interrupt_is_one_too(
    peftlab: Callable[..., Any], study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("cannot import its core") from error

    monkeypatch.setattr("peftlab.study.remarks.lint.lint", imported)
    answer = peftlab("lint", study_file)
    assert (answer.status, answer.err) == (130, f"{STOPPED}\n")


def test_while_rows_are_encoded_a_request_to_stop_is_heard() -> None:
    from peftlab.core.inputs import Example
    from peftlab.core.interrupts import stopping_gently
    from peftlab.data import encode

    calls = []

    class Tokenizer:
        fingerprint = "slow"

        def __call__(self, rows: Any, max_length: int) -> Any:
            calls.append(len(rows))
            signal.raise_signal(signal.SIGINT)
            return encode.TokenLists(ids=[[1]] * len(rows), type_ids=None)

    rows = [Example(row_id=i, texts=("a",), label=0) for i in range(3 * encode.ROWS_PER_CALL)]
    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        encode.encode(rows, Tokenizer(), max_length=8)
    assert calls == [encode.ROWS_PER_CALL]
