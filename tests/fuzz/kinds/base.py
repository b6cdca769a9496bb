"""The interface of a kind of input: how one is made, and how it is used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.fuzz.world import World


class Kind(ABC):
    """One kind of input. It joins by a module in this folder that names its class KIND.

    `share` is the number of inputs of this kind in a thousand.
    """

    name: ClassVar[str]
    share: ClassVar[int]

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        """Write one bad input into the empty folder, and return the call that uses it."""
