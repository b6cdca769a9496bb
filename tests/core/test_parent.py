"""A child ends with its parent, whether that ends before it is asked to or afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import os, sys, time
from peftlab.core import parent

if sys.argv[3] != "linux":
    parent._ask_linux = lambda: False
if sys.argv[2] == "late":
    time.sleep(1.0)
parent.end_with_parent(int(sys.argv[1]))
print("ready", flush=True)
time.sleep(120)
"""
PARENT = """
import os, subprocess, sys, time

child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), *sys.argv[2:]])
print(child.pid, flush=True)
time.sleep(120)
"""


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("way", ["linux", "elsewhere"])
@pytest.mark.parametrize("moment", ["early", "late"])
def test_a_child_ends_with_a_parent_that_is_killed(moment: str, way: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, moment, way], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if moment == "early":
        assert parent.stdout.readline() == "ready\n"
    assert is_alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert not is_alive(child)
    finally:
        if is_alive(child):
            os.kill(child, signal.SIGKILL)
    if moment == "late":  # it has not even begun its work
        assert parent.stdout.read() == ""
    parent.stdout.close()
