"""Memory of a stretch of work: its peak, and freed blocks kept for the next step."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
# glibc's mallopt: blocks up to this size come from the heap, and the heap is not given back.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_BYTES = 2**30


def keep_freed_memory() -> None:
    """Let glibc keep the blocks that a step frees for the next one; no effect elsewhere.

    By default each large tensor is mapped anew and unmapped when it goes, and the first touch of
    its pages costs more than the arithmetic on it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(M_MMAP_THRESHOLD, MOST_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, MOST_BYTES)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was asked for that is not there, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@cache
def _set_libraries_aside() -> None:
    """Keep the objects of the imported libraries, some hundred thousand, out of collections.

    Once in a process: without it each collection would walk all of them.
    """
    gc.collect()
    gc.freeze()


class PeakMemory:
    """The highest memory in use since it was made; None where the system does not tell.

    On Linux the kernel's high-water mark of the process's resident memory is reset at the start,
    so that a trial is not charged for what an earlier one in the same process used.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._known = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            # What is left of earlier trials goes back first. (malloc_trim is glibc's.)
            _set_libraries_aside()
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            CLEAR_REFS.write_text("5")
        except (OSError, AttributeError):
            self._known = False

    def read(self) -> int | None:
        """Bytes."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        if not self._known:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        return int(found.group(1)) * 1024 if found else None
