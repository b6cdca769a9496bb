"""Energy of a stretch of work, from the counters that the hardware keeps; never an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread

import torch

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of the processor (RAPL: Intel's, and AMD's since Zen)."""
SECONDS_BETWEEN_LOOKS = 30.0
"""A package's counter begins anew after a few hundred kilojoules: some ten minutes at full load."""


class EnergyMeter:
    """Joules that the device used while this was open; None where they cannot be known.

    Of a CPU, its packages: memory, disks and fans are left out. Of an NVIDIA GPU its whole board,
    where the package nvidia-ml-py is there. Either counts whatever runs beside, so nothing is
    measured unless the caller says that no other trial does (`is_alone`); that no other program
    does is for the user to see to. A counter that is missing or may not be read (Linux shows a
    package's to root only unless told otherwise) makes the whole unknown.
    """

    def __init__(
        self, device: torch.device, *, is_alone: bool, powercap: Path | None = None
    ) -> None:
        self._device, self._is_alone, self._powercap = device, is_alone, powercap or POWERCAP
        self._joules: float | None = None
        self._counters: list[_Counter] = []
        self._lock = Lock()
        self._is_closed = Event()

    def __enter__(self) -> EnergyMeter:
        if self._is_alone:
            try:
                self._counters = _counters(self._device, self._powercap)
            except (OSError, ValueError):
                self._counters = []
        if self._counters:
            self._joules = 0.0
            Thread(target=self._watch, name="energy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.read()
        self._is_closed.set()

    def go_on_from(self, joules: float | None) -> None:
        """Count what was used before as well; what is not known of then stays unknown."""
        with self._lock:
            if joules is None or self._joules is None:
                self._joules = None
            else:
                self._joules += joules

    def read(self) -> float | None:
        """Joules so far; those of the whole stretch once it is over."""
        with self._lock:
            if self._joules is not None and not self._is_closed.is_set():
                try:
                    self._joules += sum(counter.advance() for counter in self._counters)
                except (OSError, ValueError):
                    self._joules = None
            return self._joules

    def _watch(self) -> None:
        """Look often enough that no counter begins anew twice between two looks."""
        while not self._is_closed.wait(SECONDS_BETWEEN_LOOKS):
            self.read()


@dataclass
class _Counter:
    """A count of energy; OSError or ValueError where it cannot be read.

    `range` is where it begins anew, 0 for one that never does.
    """

    count: Callable[[], int]
    per_joule: float
    range: int = 0
    last: int = 0

    def advance(self) -> float:
        """Joules since the last time."""
        now = self.count()
        moved, self.last = now - self.last, now
        if moved < 0 and not self.range:
            raise ValueError("the counter was set back")
        return (moved if moved >= 0 else moved + self.range) / self.per_joule


def _counters(device: torch.device, powercap: Path) -> list[_Counter]:
    """The device's counters, as they stand now."""
    if device.type == "cpu":
        counters = [_package(folder) for folder in sorted(powercap.glob("intel-rapl:*"))]
    elif device.type == "cuda":
        counters = [_gpu(device)]
    else:
        counters = []
    found = [counter for counter in counters if counter is not None]
    for counter in found:
        counter.last = counter.count()
    return found


def _package(folder: Path) -> _Counter | None:
    """The counter of a processor's package; None for a part of one, and for the whole machine."""
    if not (folder / "name").read_text().startswith("package"):
        return None
    return _Counter(
        count=lambda: int((folder / "energy_uj").read_text()),
        per_joule=1e6,
        range=int((folder / "max_energy_range_uj").read_text()),
    )


def _gpu(device: torch.device) -> _Counter | None:
    """The counter of a GPU since its driver was loaded; None without the package for it."""
    try:
        import pynvml
    except ImportError:
        return None
    # By its UUID: the numbers that torch gives GPUs are not those of the driver.
    uuid = torch.cuda.get_device_properties(device).uuid

    def count() -> int:
        try:
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return _Counter(count=count, per_joule=1e3)
