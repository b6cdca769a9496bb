"""Settings of the whole process: its threads, its garbage, remarks of libraries, trust in code.

There is one OpenMP runtime for torch and the compiled kernels, so that they share one set of
threads. torch for Linux brings a libgomp of its own, numba asks for the system's. With both in a
process each has its own idle threads, which spin for a while after every parallel loop and take
the cores from the other's. Whoever loads a library called libgomp.so.1 first decides for both.
torch needs no symbol newer than GOMP_4.0 (GCC 4.9).

A thread that waits for the others also spins, by default for some 300,000 rounds. Where another
program wants a core too, the thread that is waited for is then kept from running, and a step takes
many times as long; with few rounds it does not, and on an idle machine they cost little.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

SPIN_COUNT = "GOMP_SPINCOUNT"
SPIN_ROUNDS = 2000
DRIVERS = ("libcuda.so.1", "libamdhip64.so")
"""The libraries through which torch reaches an NVIDIA or AMD GPU on Linux."""
TRUST = "PEFTLAB_TRUST_REMOTE_CODE"
"""The environment variable that, set to 1, allows code that comes with a checkpoint to run. Worker
processes on this machine inherit it."""

TRUST_METRICS = "PEFTLAB_TRUST_METRICS"
"""The environment variable that, set to 1, allows a study's own metric functions to run."""


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


def may_have_card() -> bool:
    """Return whether torch may find a GPU here: False where the drivers of none can be loaded.

    torch itself would have to be imported to say so.
    """
    if sys.platform != "linux":
        return True
    return any(_can_load(driver) for driver in DRIVERS)


def usual_threads() -> int:
    """Return how many threads OpenMP gives a process here, without loading an OpenMP library."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@contextmanager
def search_put_off() -> Iterator[None]:
    """Put off Python's garbage collection while very many lasting values are made.

    Each search would walk all that has been made so far.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def quiet_libraries() -> None:
    """Silence the libraries' own messages, which mean nothing to the user.

    To be called before transformers is imported. peft 0.21 asks transformers 5.23 for an
    attribute that the latter has deprecated; the filter may go when peft no longer does.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(peft|transformers)\b")


def trust_remote_code() -> None:
    """Let this process, and those that it starts, run code that comes with a checkpoint."""
    os.environ[TRUST] = "1"


def trusts_remote_code() -> bool:
    """Return whether such code may be run.

    Nothing that is stored says so: no study, no trial, no workspace.
    """
    return os.environ.get(TRUST) == "1"


def trust_own_metrics() -> None:
    """Let this process, and those that it starts, run the functions that are a study's metrics."""
    os.environ[TRUST_METRICS] = "1"


def trusts_own_metrics() -> bool:
    """Return whether such functions may be run; nothing that is stored says so."""
    return os.environ.get(TRUST_METRICS) == "1"
