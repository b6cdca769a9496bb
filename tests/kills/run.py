"""One attempt: a command is killed at least once, given again until done, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from time import perf_counter

from tests.kills.blow import drawn
from tests.kills.scenes import COMMANDS, SCENES
from tests.kills.world import World

MOST_KILLS = 3
ANOTHER = 0.3
"""The probability that the command is killed again when it is given again."""


@dataclass(frozen=True)
class Attempt:
    """The name of an attempt: the same three give the same blows, except those at a time."""

    seed: int
    scene: str
    index: int

    def __str__(self) -> str:
        return f"--seed {self.seed} --only {self.scene} --at {self.index}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of an attempt: the command, the kills that struck, and the faults."""

    command: str
    seconds: float
    kills: tuple[str, ...]
    faults: tuple[str, ...]


def carry_out_attempt(attempt: Attempt, world: World) -> Verdict:
    """Kill the command, give it again, and compare the final content."""
    rng, began = Random(str(attempt)), perf_counter()
    scene = SCENES[attempt.scene]
    name = rng.choice(scene.commands)
    unkilled = world.unkilled(name)
    moments = {one: count for one, count in unkilled.moments.items() if scene.holds(one)}
    world.make_ready(name)
    kills: list[str] = []
    faults: list[str] = []
    may_be_killed = True
    of_pool = COMMANDS[name].of_pool
    while True:
        blow = drawn(rng, moments, unkilled.seconds, of_pool=of_pool) if may_be_killed else None
        ended = world.give(name, blow)
        if ended.is_struck:
            kills.append(str(blow))
        if ended.outlived:
            faults.append(f"{ended.outlived} workers outlived their driver")
        if ended.status == 0:
            break
        if not ended.is_struck or ended.status > 0:
            faults.append(f"status {ended.status}: {ended.err[-2000:]}")
            break
        may_be_killed = len(kills) < MOST_KILLS and rng.random() < ANOTHER
    if ended.status == 0:
        faults += world.faults(name, ended)
    return Verdict(
        command=name,
        seconds=perf_counter() - began,
        kills=tuple(kills),
        faults=tuple(faults),
    )
