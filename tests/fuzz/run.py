"""The making and judging of inputs, one after another."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.judge import Verdict, judge
from tests.fuzz.kinds import KINDS
from tests.fuzz.kinds.base import Kind
from tests.fuzz.world import World


@dataclass(frozen=True)
class Input:
    """The name of an input: the same three values give the same input."""

    seed: int
    kind: str
    index: int

    def __str__(self) -> str:
        return f"--seed {self.seed} --only {self.kind} --at {self.index}"

    @property
    def rng(self) -> Random:
        """The generator from which it is drawn."""
        return Random(f"{self.seed} {self.kind} {self.index}")


def shares(count: int, names: list[str]) -> Iterator[tuple[str, int]]:
    """Return the number of inputs of each kind among `count`, at least one."""
    whole = sum(KINDS[name].share for name in names)
    for name in names:
        yield name, max(1, round(count * KINDS[name].share / whole))


def attempt(
    kind: Kind, given: Input, announce: Callable[[Input], None] = lambda given: None
) -> Verdict:
    """Make the input, use it, and judge the outcome."""
    world: World = kind.world
    folder = world.work / f"{given.kind}-{given.index}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    announce(given)
    try:
        call = kind.attempt(given.rng, folder)
        return judge(call, watched=world.root, own=Path(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
