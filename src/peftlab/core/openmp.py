"""One OpenMP runtime for torch and the compiled kernels, so that they share one set of threads.

torch for Linux brings a libgomp of its own, numba asks for the system's. With both in a process
each has its own idle threads, which spin for a while after every parallel loop and take the
cores from the other's. Whoever loads a library called libgomp.so.1 first decides for
both. torch needs no symbol newer than GOMP_4.0 (GCC 4.9).

A thread that waits for the others also spins, by default for some 300,000 rounds. Where another
program wants a core too, the thread that is waited for is then kept from running, and a step takes
many times as long; with few rounds it does not, and on an idle machine they cost little.
"""

from __future__ import annotations

import ctypes
import os
import sys

SPIN_COUNT = "GOMP_SPINCOUNT"
SPIN_ROUNDS = 2000


def share_openmp() -> None:
    """Load the system's libgomp, if there is one and torch has not been imported yet.

    A GOMP_SPINCOUNT that is set already is left as it is; the library reads it as it is loaded.
    """
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    os.environ.setdefault(SPIN_COUNT, str(SPIN_ROUNDS))
    try:
        ctypes.CDLL("libgomp.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:  # none here: numba then runs on threads of its own
        return
