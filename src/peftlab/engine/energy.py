"""The energy of a stretch of work, from the hardware's own counters; never an estimate."""

from __future__ import annotations

from threading import Event, Lock, Thread

from peftlab.engine.devices.base import Device, EnergyCounter

SECONDS_BETWEEN_LOOKS = 30.0
"""The time between two readings; a package's counter wraps around after a few hundred kilojoules,
which is some ten minutes at full load."""


class EnergyMeter:
    """The energy in joules that a device used within the block; None if it cannot be known.

    The device defines what its counters include (engine/devices). They also count everything else
    that runs on it, so nothing is measured unless the caller says that no other trial runs
    meanwhile (`is_alone`); the user must see to it that no other program does. If a counter is
    missing or may not be read, the total is unknown.
    """

    def __init__(self, device: Device, *, is_alone: bool) -> None:
        self._device, self._is_alone = device, is_alone
        self._joules: float | None = None
        self._counters: list[EnergyCounter] = []
        self._lock = Lock()
        self._is_closed = Event()

    def __enter__(self) -> EnergyMeter:
        if self._is_alone:
            try:
                self._counters = self._device.energy_counters()
                for counter in self._counters:
                    counter.last = counter.count()
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
        """Add the joules that were used before; if they are unknown (None), the total is too."""
        with self._lock:
            if joules is None or self._joules is None:
                self._joules = None
            else:
                self._joules += joules

    def read(self) -> float | None:
        """Return the joules so far; after the block, those of the whole block."""
        with self._lock:
            if self._joules is not None and not self._is_closed.is_set():
                try:
                    self._joules += sum(counter.advance() for counter in self._counters)
                except (OSError, ValueError):
                    self._joules = None
            return self._joules

    def _watch(self) -> None:
        """Read the counters often enough that none wraps around twice between two readings."""
        while not self._is_closed.wait(SECONDS_BETWEEN_LOOKS):
            self.read()
