"""A lock of numba's that a forked process must not share with its siblings.

Numba guards the start of its threads by a semaphore that all forks of a process have in common. One
that is killed while it holds it, as tests kill processes, would stop all others for good.
"""

from __future__ import annotations

import multiprocessing
import os
import sys


def _renew() -> None:
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if getattr(parallel, "_backend_init_process_lock", None) is not None:
        parallel._backend_init_process_lock = multiprocessing.RLock()  # type: ignore[union-attr]


def renew_in_forks() -> None:
    """Have each process that is forked from this one, or from such a process, get its own lock."""
    os.register_at_fork(after_in_child=_renew)
