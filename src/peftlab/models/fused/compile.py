"""The compilation of all kernels ahead of use, once on a machine, in a process of its own.

numba caches compiled code on disk. Otherwise the first trial would wait for the compiler, and its
peak memory would be the compiler's. The process (compile_process.py) ends with the process that
waits for it; the next continues where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from peftlab.core.progress import stage
from peftlab.models.fused import blocks  # noqa: F401  imports all entry points
from peftlab.models.fused.jit import ENABLED, kernel_folder
from peftlab.models.fused.launch import ENTRY_POINTS, compile_loop

PROCESS = "peftlab.models.fused.compile_process"
WORDS = "compiling the kernels for this processor, once"


def ensure_compiled() -> None:
    """Compile all kernels if this has not been done on this machine, as a stage of the work.

    If that fails nothing is lost: a kernel is compiled when it is first called.
    """
    if not ENABLED or _mark().exists():
        return
    with stage(WORDS, unit="kernels") as compiling:
        for line in _told():
            done, _, total = line.partition(" of ")
            if done.strip().isdecimal() and total.strip().isdecimal():
                compiling.reach(int(done), int(total))


def compile_all(told: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Compile all kernels in this process, unless they are compiled already.

    `told` is called with the number of compiled kernels and their total, at first and after each.
    """
    total = len(ENTRY_POINTS) + 1
    told(0, total)
    compile_loop()
    for done, entry_point in enumerate(ENTRY_POINTS, start=1):
        told(done, total)
        _ = entry_point.address
    _mark().touch()
    told(total, total)


def _told() -> Iterator[str]:
    """Yield the lines of the compiling process, which is ended when the reader stops.

    It has a session of its own, so that Ctrl-C reaches only this process.
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", PROCESS, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield from process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _mark() -> Path:
    """Return the file that exists if kernels of these sources are compiled for this processor."""
    from llvmlite import binding
    from numba import config

    sources = sorted(Path(__file__).parent.glob("*.py"))
    known = [
        version("numba"),
        version("llvmlite"),
        config.CPU_NAME or binding.get_host_cpu_name(),
        config.CPU_FEATURES or binding.get_host_cpu_features().flatten(),
        *(f"{source}:{source.stat().st_mtime_ns}" for source in sources),
    ]
    digest = hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
    return kernel_folder() / f"all-compiled-{digest}"
