"""Progress of work that takes its time: told by whoever does it, to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

Tell = Callable[[str], None]
"""A function that is told in a few words what is being done."""


def say_nothing(text: str) -> None:
    """Do nothing, for callers who do not want to be told."""


class Stage:
    """A stage of work that takes its time: `done` of `total` (None if not known), in `unit`s."""

    def __init__(
        self, words: str, *, total: int | None, unit: str, watcher: Watcher | None
    ) -> None:
        self.words, self.total, self.unit = words, total, unit
        self.done, self.note = 0, ""
        self._watcher = watcher

    def advance(self, number: int = 1) -> None:
        """Note that this much more is done."""
        self.reach(self.done + number, self.total)

    def reach(self, done: int, total: int | None = None) -> None:
        """Note how much is done in all."""
        self.done, self.total = done, total
        if self._watcher is not None:
            self._watcher.changed(self)

    def say(self, note: str) -> None:
        """Note the current activity in a few words."""
        self.note = note
        if self._watcher is not None:
            self._watcher.changed(self)


class Watcher(Protocol):
    """A listener to the stages in its context; any thread may call `changed`, and often."""

    def began(self, stage: Stage) -> None:
        """Receive a stage that begins."""

    def changed(self, stage: Stage) -> None:
        """Receive a stage that has advanced or changed its words."""

    def ended(self, stage: Stage) -> None:
        """Receive a stage that has ended, successfully or by an error."""


_WATCHER: ContextVar[Watcher | None] = ContextVar("_WATCHER", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Send the stages that begin within the block to this watcher instead of the one before."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


@contextmanager
def stage(words: str, *, total: int | None = None, unit: str = "") -> Iterator[Stage]:
    """Show the block as a stage, by the watcher of this context if there is one.

    >>> with stage("counting", total=3, unit="rows") as counting:
    ...     counting.advance(2)
    >>> counting.done
    2
    """
    watcher = _WATCHER.get()
    begun = Stage(words, total=total, unit=unit, watcher=watcher)
    if watcher is None:
        yield begun
        return
    watcher.began(begun)
    try:
        yield begun
    finally:
        watcher.ended(begun)
