"""The energy of a stretch of work, from the hardware's own counters; never an estimate."""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import Protocol

from peftlab.engine.clock import Clock
from peftlab.engine.devices.base import Device, EnergyCounter

SECONDS_BETWEEN_LOOKS = 30.0
"""The time between two readings; a package's counter wraps around after a few hundred kilojoules,
which is some ten minutes at full load."""


class Energy(Protocol):
    """The joules that a trial used within the block; None if they cannot be known."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def go_on_from(self, joules: float | None) -> None:
        """Add the joules used before the trial was resumed; if unknown, so is the total."""

    def read(self) -> float | None:
        """Return the joules so far, or the total once the block has ended."""


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
        """Add the joules used before the trial was resumed; if unknown, so is the total."""
        with self._lock:
            if joules is None or self._joules is None:
                self._joules = None
            else:
                self._joules += joules

    def read(self) -> float | None:
        """Return the joules so far, or the total once the block has ended."""
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


class EnergyShares:
    """The joules of one meter, shared out among trials by the seconds that they were charged."""

    def __init__(self, meter: EnergyMeter) -> None:
        self._meter = meter
        self._shared_out = meter.read()
        self._shares: list[EnergyShare] = []

    def of(self, clock: Clock) -> EnergyShare:
        """Return the share of a trial with this clock."""
        return EnergyShare(self, clock)

    def open(self, share: EnergyShare) -> None:
        """Count the share among those that are charged from now on."""
        self.settle()
        self._shares.append(share)

    def close(self, share: EnergyShare) -> None:
        """Charge the share no longer."""
        self.settle()
        self._shares.remove(share)

    def settle(self) -> None:
        """Share out what was used since the last time."""
        joules = self._meter.read()
        used = None if joules is None or self._shared_out is None else joules - self._shared_out
        self._shared_out = joules
        seconds = [share.charge() for share in self._shares]
        total = sum(seconds)
        for share, part in zip(self._shares, seconds, strict=True):
            share.add(None if used is None else used * part / max(total, 1e-9))


class EnergyShare:
    """A trial's part of the joules that trials used together."""

    def __init__(self, shares: EnergyShares, clock: Clock) -> None:
        self._shares, self._clock = shares, clock
        self._charged_until = clock.now()
        self._joules: float | None = 0.0
        self._is_open = False

    def __enter__(self) -> EnergyShare:
        self._charged_until = self._clock.now()
        self._shares.open(self)
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._shares.close(self)
        self._is_open = False

    def charge(self) -> float:
        """Return the seconds that the trial was charged since the last call."""
        now = self._clock.now()
        seconds, self._charged_until = now - self._charged_until, now
        return seconds

    def add(self, joules: float | None) -> None:
        """Add joules to what the trial used; None means that they are unknown."""
        self._joules = None if joules is None or self._joules is None else self._joules + joules

    def go_on_from(self, joules: float | None) -> None:
        """Add the joules used before the trial was resumed; if unknown, so is the total."""
        self.add(joules)

    def read(self) -> float | None:
        """Return the joules so far, or the total once the block has ended."""
        if self._is_open:
            self._shares.settle()
        return self._joules
