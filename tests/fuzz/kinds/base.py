"""What a kind of input is: how one is made, and what a person does with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.fuzz.world import World


class Kind(ABC):
    """One kind of input. It joins by a module in this folder that names its class KIND.

    `share` says how many of a thousand inputs are of this kind.
    """

    name: ClassVar[str]
    share: ClassVar[int]

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        """Write one bad input into the empty folder; the call that takes it."""
