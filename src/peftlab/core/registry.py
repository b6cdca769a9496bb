"""A named collection to which an extension adds itself by one call in its own file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from peftlab.core.errors import UnknownNameError, UserError

Registered = TypeVar("Registered")


class Registry(Generic[Registered]):
    """Entries by name, in the order of their registration.

    >>> metrics = Registry[int]("metric")
    >>> metrics.add("accuracy", 1)
    1
    >>> metrics.get("acuracy")
    Traceback (most recent call last):
    ...
    peftlab.core.errors.UnknownNameError: unknown metric 'acuracy', did you mean 'accuracy'? \
(allowed: accuracy)
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Registered] = {}
        self._refused: dict[str, str] = {}

    def add(self, name: str, entry: Registered) -> Registered:
        """Register `entry` under `name`; raise ValueError if the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    @contextmanager
    def temporarily(self, name: str, entry: Registered) -> Iterator[Registered]:
        """Register `entry` within the block, replacing any entry of that name.

        >>> metrics = Registry[int]("metric")
        >>> with metrics.temporarily("toy", 1):
        ...     metrics.names()
        ['toy']
        >>> metrics.names()
        []
        """
        before = dict(self._entries)
        self._entries[name] = entry
        try:
            yield entry
        finally:
            self._entries = before

    def refuse(self, name: str, reason: str) -> None:
        """Record why there is no entry `name`; `get` raises that reason."""
        self._refused[name] = reason

    def get(self, name: str, *, where: str = "") -> Registered:
        """Return the entry of that name.

        Raises UnknownNameError with the nearest name if there is none, and UserError with the
        reason if the name is refused.
        """
        if name in self._refused:
            raise UserError(f"no {self.kind} '{name}': {self._refused[name]}", where=where)
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._entries, where=where) from None

    def names(self) -> list[str]:
        """Return all names, in the order of their registration."""
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Registered]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
