"""Energy of a stretch of work, from the counters that the hardware keeps; never an estimate."""

from __future__ import annotations

from threading import Event, Lock, Thread

from peftlab.engine.devices.base import Device, EnergyCounter

SECONDS_BETWEEN_LOOKS = 30.0
"""A package's counter begins anew after a few hundred kilojoules: some ten minutes at full load."""


class EnergyMeter:
    """The joules that a device used while this was open; None where they cannot be known.

    The device says what its counters include (engine/devices). They count whatever runs beside,
    so nothing is measured unless the caller says that no other trial does (`is_alone`); that no
    other program does is for the user to see to. A counter that is missing or may not be read
    makes the whole unknown.
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
        """Count what was used before as well; what is not known of then stays unknown."""
        with self._lock:
            if joules is None or self._joules is None:
                self._joules = None
            else:
                self._joules += joules

    def read(self) -> float | None:
        """Return the joules so far; those of the whole stretch once it is over."""
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
