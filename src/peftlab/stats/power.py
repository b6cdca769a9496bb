"""How many further seeds would probably decide a comparison that is not decided yet.

Who reads that number has looked, so that the test with those seeds is the one that holds for any
number of looks (tails.py).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import brentq

from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL, Noise, SeedNoise
from peftlab.tasks.problem import Floats

POWER = 0.8
NUM_STUDIES = 2000
MOST_SEEDS = 100
"""Beyond so many seeds in all, nobody waits."""

Hopeless = Literal["examples", "too many"]
"""Why no number of seeds is given: the examples' noise alone forbids it, or it is too large."""


def further_seeds(
    found: Difference, margin: float | None, level: float, generator: np.random.Generator
) -> int | Hopeless:
    """Return the least number of further seeds with which POWER of studies would be decided.

    Studies are simulated that keep the seeds and the examples there are and add seeds to them,
    whose scores spread around today's estimate as today's do. `level` is that of the test, which is
    of a difference, or with a `margin` in points of it being within or beyond the margin.
    ValueError for one seed, which does not tell how seeds differ.
    """
    noise = found.noise
    if not noise.seeds:
        raise ValueError("one seed does not tell how seeds differ")
    most = MOST_SEEDS - min(group.num_seeds for group in noise.seeds)
    if not _are_decided(np.array([found.estimate]), _of_examples(noise), margin, level)[0]:
        return "examples"
    drawn = generator.normal(size=(len(noise.seeds), NUM_STUDIES))

    def share_decided(further: int) -> float:
        estimates_M, grown = _studies(found, further, drawn)
        return float(np.mean(_are_decided(estimates_M, grown, margin, level)))

    if most < 1 or share_decided(most) < POWER:
        return "too many"
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_decided(middle) >= POWER else (middle, high)
    return high


def reach_of_examples(noise: Noise, level: float) -> float:
    """Return half of the interval of 1 - `level` that no number of seeds makes narrower."""
    return _of_examples(noise).always_valid_reach(level)


def _of_examples(noise: Noise) -> Noise:
    """Return the noise with so many seeds that only that of the examples is left."""
    return replace(noise, seeds=(SeedNoise(spread=0.0, num_seeds=MOST_SEEDS),))


def _studies(found: Difference, further: int, drawn_GM: Floats) -> tuple[Floats, Noise]:
    """Return the estimate [M] of each simulated study with so many further seeds, and their noise.

    `drawn_GM` is each group's luck in each of M studies. Their spread is today's: what a few runs
    say of it is as good as what is drawn from it.
    """
    estimates_M = np.full(drawn_GM.shape[1], found.estimate)
    groups = []
    for group, drawn_M in zip(found.noise.seeds, drawn_GM, strict=True):
        size = group.num_seeds + further
        estimates_M += drawn_M * math.sqrt(group.variance * further) / size
        groups.append(replace(group, num_seeds=size))
    return estimates_M, replace(found.noise, seeds=tuple(groups))


def _are_decided(
    estimates_M: Floats, noise: Noise, margin: float | None, level: float
) -> npt.NDArray[np.bool_]:
    """Return for each estimate whether its p value is at most the level.

    That is where the bound which is tested lies outside the interval of that level.
    """
    distances_M = np.abs(estimates_M) - (margin or 0.0)
    is_apart_M: npt.NDArray[np.bool_] = distances_M >= noise.always_valid_reach(level)
    if margin is None:
        return is_apart_M
    return is_apart_M | (-distances_M >= noise.always_valid_reach(2 * level))


def detectable_spreads(num_seeds: int) -> float:
    """Return the true difference that a paired t test over so many seeds finds in POWER of cases.

    In standard deviations of the difference between two runs of one seed; the examples' noise,
    which comes on top, is left out.
    """
    degrees = num_seeds - 1
    least = special.stdtrit(degrees, 1 - LEVEL / 2)

    def excess(shift: float) -> float:
        return 1 - float(special.nctdtr(degrees, shift, least)) - POWER

    return float(brentq(excess, 0.1, 50)) / math.sqrt(num_seeds)
