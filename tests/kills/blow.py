"""The moment and the target of a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Literal

Victim = Literal["driver", "worker", "all"]


@dataclass(frozen=True, kw_only=True)
class Blow:
    """One SIGKILL: at the `number`-th time of a moment, or after a number of seconds.

    A moment is named by what is about to happen (moments.py). In a pool the kill hits the driver
    alone, one worker alone, or all of them at once.
    """

    victim: Victim
    moment: str = ""
    number: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        when = f"{self.moment} #{self.number}" if self.moment else f"after {self.seconds:.2f} s"
        return f"{self.victim} killed: {when}"


def drawn(rng: Random, moments: dict[str, int], seconds: float, *, of_pool: bool) -> Blow:
    """Return a blow at one of the moments, all equally likely, or one time in six at any time.

    `moments` says how often each comes in a run that nobody kills, `seconds` how long that takes.
    """
    victims: list[Victim] = ["driver", "worker", "all"] if of_pool else ["driver"]
    if not moments or rng.random() < 1 / 6:
        return Blow(victim=rng.choice(victims), seconds=rng.uniform(0, seconds))
    moment = rng.choice(sorted(moments))
    if of_pool and moment.startswith("driver:"):
        victims.remove("worker")
    return Blow(victim=rng.choice(victims), moment=moment, number=rng.randint(1, moments[moment]))


def kill(pids: Iterable[int]) -> None:
    """Kill the processes that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
