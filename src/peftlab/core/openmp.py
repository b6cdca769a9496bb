"""One OpenMP runtime for torch and the compiled kernels, so that they share one set of threads.

torch for Linux brings a libgomp of its own, numba asks for the system's. With both in a process
each has its own idle threads, which spin for a while after every parallel loop and take the
cores from the other's: a small kernel after a matrix product then takes three times as long, and
the next product a fifth longer. Whoever loads a library called libgomp.so.1 first decides for
both. torch needs no symbol newer than GOMP_4.0 (GCC 4.9).
"""

from __future__ import annotations

import ctypes
import sys


def share_openmp() -> None:
    """Load the system's libgomp, if there is one and torch has not been imported yet."""
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    try:
        ctypes.CDLL("libgomp.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:  # none here: numba then runs on threads of its own
        return
