"""The compilation of kernels: by numba if it is installed, for as many threads as torch uses.

Kernels take C-contiguous float32 arrays. Floating-point sums may be reassociated, so that they
vectorise; NaN and infinities behave as usual.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

CHOICE = "PEFTLAB_KERNELS"
"""The environment variable that says which kernels may compute: "off" leaves all work to the plain
torch twins, "numba" to the processor's kernels where they apply; backends.py says what else."""


def _cache_folder() -> str:
    """Return a writable folder for compiled kernels."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = base / "peftlab" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return str(folder)
    except OSError:
        return tempfile.mkdtemp(prefix="peftlab-kernels-")


os.environ.setdefault("NUMBA_CACHE_DIR", _cache_folder())
try:
    import numba
except ImportError:  # numba has no wheel for this platform: the twins do all the work
    numba = None
else:
    # The OpenMP layer shares its threads with torch (core/process.py). The layer that numba falls
    # back on without OpenMP is slower, and aborts when two threads enter it.
    with suppress(ImportError):
        import numba.np.ufunc.omppool

        numba.config.THREADING_LAYER = "omp"


def kernel_folder() -> Path:
    """Return the folder in which compiled kernels are kept."""
    return Path(os.environ["NUMBA_CACHE_DIR"])


HAS_NUMBA: bool = numba is not None
ENABLED: bool = HAS_NUMBA and os.environ.get(CHOICE) != "off"
prange = numba.prange if HAS_NUMBA else range
_OPTIONS: dict[str, Any] = {
    "fastmath": {"reassoc", "nsz", "contract", "arcp"},
    "error_model": "numpy",
    "boundscheck": False,
}


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function, compiled at its first call, with `prange` loops spread over threads."""
    if not HAS_NUMBA:
        return function
    compiled: Callable[..., None] = numba.njit(parallel=True, nogil=True, cache=True, **_OPTIONS)(
        function
    )
    return compiled


def serial(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function, compiled at its first call, for one thread."""
    if not HAS_NUMBA:
        return function
    compiled: Callable[..., None] = numba.njit(nogil=True, cache=True, **_OPTIONS)(function)
    return compiled


def inline(function: Function) -> Function:
    """Return the function, to be compiled into the kernels that call it."""
    if not HAS_NUMBA:
        return function
    compiled: Function = numba.njit(inline="always", **_OPTIONS)(function)
    return compiled


def routine(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function of numbers, compiled once for all kernels that call it."""
    if not HAS_NUMBA:
        return function
    compiled: Callable[..., None] = numba.njit(**_OPTIONS)(function)
    return compiled


def part(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function for kernels to call, compiled as if its arrays never overlap.

    Without that promise every loop first compares all addresses, which takes longer than a short
    loop over one sentence: small matrix products ran at a fifth of the speed.
    """
    if not HAS_NUMBA:
        return function
    compiled: Callable[..., None] = numba.njit(**_NO_OVERLAP, **_OPTIONS)(function)
    return compiled


def _no_overlap() -> dict[str, Any]:
    """Return the option that promises it; {} for a version of numba without the flag.

    numba has the flag ("noalias", for LLVM's attribute of that name), but njit has no option for
    it.
    """
    try:
        from numba.core.compiler import Flags
        from numba.core.cpu import CPUTargetOptions
        from numba.core.options import TargetOptions

        if not hasattr(Flags, "noalias"):
            return {}
        CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")
    except (ImportError, AttributeError):
        return {}
    return {"noalias": True}


_NO_OVERLAP = _no_overlap() if HAS_NUMBA else {}


def runs_kernels(*tensors: Tensor) -> bool:
    """Return whether kernels can compute these: float32 on the CPU, with numba, not turned off."""
    if not ENABLED:
        return False
    for tensor in tensors:
        if tensor.dtype is not torch.float32 or tensor.device.type != "cpu":
            return False
    return True


def share_threads() -> None:
    """Let the kernels use as many threads as torch does.

    numba starts its own at the first call, one for each core, and sets OpenMP's number to that:
    torch's is put back.
    """
    if HAS_NUMBA:
        wanted = torch.get_num_threads()
        numba.set_num_threads(min(wanted, numba.config.NUMBA_NUM_THREADS))
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)


share_threads()
