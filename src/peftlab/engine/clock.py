"""The seconds that pass for one trial, also where it shares them with others."""

from __future__ import annotations

from time import perf_counter


class Clock:
    """A clock from which seconds spent on other trials can be subtracted."""

    def __init__(self) -> None:
        self._left_out = 0.0

    def now(self) -> float:
        """Return the seconds since an arbitrary start, without those that were subtracted."""
        return perf_counter() - self._left_out

    def leave_out(self, seconds: float) -> None:
        """Subtract these seconds, which have just passed."""
        self._left_out += seconds
