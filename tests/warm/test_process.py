"""A warm process is like a real one, except for the time that it takes to import."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.warm.process import AT_FIRST, WarmPopen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks where there is prctl")

SAYS = """
import json, os, signal, sys
print(json.dumps({
    "warm": "torch" in sys.modules,
    "arguments": sys.argv[1:],
    "parent": os.getppid(),
    "folder": os.getcwd(),
    "told": os.environ.get("TOLD"),
    "session": os.getsid(0) == os.getpid(),
    "threads": len(os.listdir("/proc/self/task")),
    "files": sorted(os.listdir("/proc/self/fd"), key=int)[:-1],
    "input": sys.stdin.read(),
    "interrupted": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
}))
print("said", file=sys.stderr)
sys.exit(3)
"""
TELLS = """
import os, sys
connection.send((os.getpid(), "torch" in sys.modules, os.getppid()))
sys.exit(3)
"""


def says(popen: type[subprocess.Popen[Any]], folder: Path, **changes: str) -> dict[str, Any]:
    """Return what such a process reports about itself, and how it ended."""
    process = popen(
        [sys.executable, "-W", "ignore", "-c", SAYS, "one", "two"],
        env={**AT_FIRST, "TOLD": "so", **changes},
        cwd=folder,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said, errors = process.communicate("a line")
    found: dict[str, Any] = json.loads(said)
    return {**found, "status": process.returncode, "errors": errors}


def test_a_warm_process_is_as_a_real_one_but_has_imported(tmp_path: Path) -> None:
    real, warm = (says(popen, tmp_path) for popen in (subprocess.Popen, WarmPopen))
    assert warm.pop("warm") is True
    assert real.pop("warm") is False
    assert warm == real
    assert (warm["parent"], warm["status"], warm["session"]) == (os.getpid(), 3, True)


@pytest.mark.parametrize(("name", "value"), [("HF_HOME", "/elsewhere"), ("WANDB_MODE", "offline")])
def test_where_an_import_would_go_otherwise_the_process_is_real(
    name: str, value: str, tmp_path: Path
) -> None:
    assert says(WarmPopen, tmp_path, **{name: value})["warm"] is False


def test_what_ray_sets_in_this_process_makes_no_process_real(tmp_path: Path) -> None:
    assert says(WarmPopen, tmp_path, PYTHONBREAKPOINT="ray.util.rpdb.set_trace")["warm"] is True


def test_a_warm_process_is_killed_and_waited_for_as_any_child() -> None:
    process = WarmPopen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL


def test_what_multiprocessing_spawns_is_warm_and_ends_as_it_does() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=exec, args=(TELLS, {"connection": theirs}))
    process.start()
    assert ours.poll(60)
    assert ours.recv() == (process.pid, True, os.getpid())
    process.join(30)
    assert process.exitcode == 3
