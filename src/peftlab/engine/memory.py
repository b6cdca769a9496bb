"""The memory of a stretch of work: its peak, and freed blocks kept for the next step."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import torch

from peftlab.engine.devices.base import Device

# glibc's mallopt: blocks up to this size come from the heap, and the heap is not given back.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_BYTES = 2**30


def keep_freed_memory() -> None:
    """Make glibc keep the blocks that a step frees for the next step; do nothing without glibc.

    By default each large tensor is mapped when it is made and unmapped when it is freed, and
    touching its pages for the first time costs more than the arithmetic on it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(M_MMAP_THRESHOLD, MOST_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, MOST_BYTES)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory has run out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


class PeakMemory:
    """The peak memory in use on a device since this object was made; None if it is not known.

    The device's peak is reset at the start, so that the memory of an earlier trial in the same
    process is not counted.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._is_known = device.reset_peak_memory()

    def read(self) -> int | None:
        """Return the peak in bytes."""
        return self._device.peak_memory_bytes() if self._is_known else None
