"""Choices that are the same on every machine and Python: a hash of where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from peftlab.core.identity import derived_seed

SEED = 1
Item = TypeVar("Item")


class Draw:
    """A stream of choices for one row: the n-th is a function of (split, task, row, n)."""

    def __init__(self, *place: str | int) -> None:
        self._place = place
        self._count = 0

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to limit - 1."""
        self._count += 1
        return derived_seed(SEED, *self._place, self._count) % limit

    def one(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def two(self, items: Sequence[Item]) -> tuple[Item, Item]:
        """Return two different ones of the items."""
        first = self.below(len(items))
        second = (first + 1 + self.below(len(items) - 1)) % len(items)
        return items[first], items[second]

    def chance(self, percent: int) -> bool:
        """Return True with this probability in percent."""
        return self.below(100) < percent
