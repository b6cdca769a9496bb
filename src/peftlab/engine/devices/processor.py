"""The processor: its memory as Linux reports it, its energy by the RAPL counters."""

from __future__ import annotations

import atexit
import ctypes
import gc
import math
import re
import resource
import sys
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from peftlab.core.training import Precision
from peftlab.engine.devices.base import Device, EnergyCounter, best_seconds
from peftlab.store.provenance import linux_says, processor_name

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
UNITS = frozenset({"amx_bf16", "avx512_bf16"})
"""Linux's names of what multiplies in bfloat16: matrix units, and instructions for vectors."""
PEAK_SIZES = (512, 1024, 1024)
PEAK_OPERATIONS = 2 * math.prod(PEAK_SIZES)
"""The rows, depth and columns of the product by which the peak is estimated; its operations."""
POWERCAP = Path("/sys/class/powercap")
"""The folder of the processor's energy counters on Linux (RAPL: Intel, and AMD since Zen)."""


class Processor(Device):
    """The machine's processor. Its energy is that of its packages, excluding memory and fans."""

    shares_cores: ClassVar[bool] = True

    @cached_property
    def model_name(self) -> str:
        """The name that the processor reports."""
        return processor_name() or ""

    def make_ready(self) -> None:
        """Compile the kernels, shown as a stage of the work, unless that was done before.

        Raises UserError if PEFTLAB_KERNELS has an unknown value.
        """
        from peftlab.models.fused.backends import chosen
        from peftlab.models.fused.compile import ensure_compiled

        chosen()
        ensure_compiled()

    def reset_peak_memory(self) -> bool:
        """Reset the peak that Linux keeps of the process's resident memory."""
        return reset_resident_peak()

    def peak_memory_bytes(self) -> int | None:
        """Return the peak resident memory of the process."""
        return resident_peak_bytes()

    def energy_counters(self) -> list[EnergyCounter]:
        """Return the counters of the packages, which Linux may show to root only."""
        counters = [_package(folder) for folder in sorted(POWERCAP.glob("intel-rapl:*"))]
        return [counter for counter in counters if counter is not None]

    @property
    def is_faster_in_bf16(self) -> bool:  # type: ignore[override]
        """Whether it has units for products in bfloat16."""
        return not UNITS.isdisjoint(_features())

    def peak_flops_per_second(self, seconds: float = 0.1, precision: Precision = "fp32") -> float:
        """Return the best rate of a matrix product in that precision, measured now.

        In bfloat16 it is the library's that our kernels call. Where that is missing, products are
        float32's, with rounded factors.
        """
        from peftlab.models.fused import library

        if precision != "bf16" or not library.IS_THERE:
            return super().peak_flops_per_second(seconds, "fp32")
        import torch

        rows, depth, columns = PEAK_SIZES
        left = torch.ones(rows, depth, dtype=torch.bfloat16)
        right = torch.ones(depth, columns, dtype=torch.bfloat16)
        out = torch.empty(rows, columns)
        multiply = partial(library.multiply, left, right, out, None, 1.0)
        return PEAK_OPERATIONS / best_seconds(multiply, seconds)

    def estimated_peak_flops_per_second(self, precision: Precision = "fp32") -> float:
        """Return the best rate that NumPy's matrix product reaches within a tenth of a second.

        NumPy has no bfloat16, so the rate in that is measured as it is for a benchmark.
        """
        if precision == "bf16":
            return self.peak_flops_per_second(precision=precision)
        rows, depth, columns = PEAK_SIZES
        left, right = np.ones((rows, depth), np.float32), np.ones((depth, columns), np.float32)
        return PEAK_OPERATIONS / best_seconds(partial(np.matmul, left, right), 0.1)

    def trainer_arguments(self) -> dict[str, Any]:
        """Return the arguments that keep the Trainer from using a GPU."""
        return {"use_cpu": True, "dataloader_pin_memory": False}


@cache
def _features() -> frozenset[str]:
    """Return the names of what the processor can do, as Linux lists them; none elsewhere."""
    return frozenset((linux_says("flags") or "").split())


def reset_resident_peak() -> bool:
    """Reset the peak of resident memory; return whether the system can do that.

    Freed memory of earlier work is first given back to the system, so that it is not counted.
    """
    try:
        _set_libraries_aside()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # a function of glibc
        CLEAR_REFS.write_text("5")
    except (OSError, AttributeError):
        return False
    return True


def resident_peak_bytes() -> int | None:
    """Return the peak resident memory of the process since the last reset, if there was one."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return int(found.group(1)) * 1024 if found else None


@cache
def _set_libraries_aside() -> None:
    """Exclude the objects of the imported libraries from garbage collection.

    This is done once in a process: otherwise each collection would visit all of them, which are
    several hundred thousand. At the end of the process they are collected again, if torch has
    imported Triton: that reports whatever of it is left then.
    """
    gc.collect()
    gc.freeze()
    atexit.register(_take_libraries_back)


def _take_libraries_back() -> None:
    if "triton" in sys.modules:
        gc.unfreeze()


def _package(folder: Path) -> EnergyCounter | None:
    """Return the counter of a package; None if the folder is not that of a package."""
    if not (folder / "name").read_text().startswith("package"):
        return None
    return EnergyCounter(
        count=lambda: int((folder / "energy_uj").read_text()),
        per_joule=1e6,
        range=int((folder / "max_energy_range_uj").read_text()),
    )
