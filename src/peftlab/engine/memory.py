"""Peak memory of a stretch of work: allocated on a GPU, resident on a CPU."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import torch

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


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
            # What the allocator keeps of earlier trials goes back first. (glibc; others lack it.)
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
