"""All kernels compiled ahead: once on a machine, in a process of their own.

numba keeps what it has compiled on disk. Without this the first trial would wait for it, and its
peak memory would be the compiler's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from peftlab.models.fused import blocks  # noqa: F401  brings all operations, and so all entries
from peftlab.models.fused.jit import ENABLED
from peftlab.models.fused.launch import ENTRIES, compile_loop


def ensure_compiled(say: Callable[[str], None]) -> None:
    """Compile all kernels if this has not been done on this machine; `say` is told of it.

    Where that fails nothing is lost: a kernel is compiled when it is first called.
    """
    if not ENABLED or _mark().exists():
        return
    say("compiling the kernels for this processor, once: about a minute")
    subprocess.run([sys.executable, "-W", "ignore", "-m", __name__], check=False)


def compile_all() -> None:
    """Compile all kernels in this process, or find them compiled."""
    compile_loop()
    for entry in ENTRIES:
        _ = entry.address
    _mark().touch()


def _mark() -> Path:
    """A file that is there if kernels of these sources are compiled for this processor."""
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
    return Path(os.environ["NUMBA_CACHE_DIR"]) / f"all-compiled-{digest}"


if __name__ == "__main__":
    compile_all()
