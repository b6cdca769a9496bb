"""How many further seeds would probably decide a comparison that is not decided yet.

Who reads that number has looked, so that the test with those seeds is the one that holds for any
number of looks (tails.py).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.tails import upper_tail
from peftlab.stats.weighted import Flags, Floats

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
    examples, estimate = noise.examples + noise.grain, abs(found.estimate)
    most = MOST_SEEDS - min(group.num_seeds for group in noise.seeds)
    apart = estimate if margin is None else abs(margin - estimate)
    sides = 2 if margin is None or estimate > margin else 1
    if examples > 0:
        beyond = upper_tail(np.array([apart / math.sqrt(examples)]), noise.num_examples - 1)
        if sides * float(beyond[0]) > level:
            return "examples"
    drawn = generator.normal(size=(len(noise.seeds), NUM_STUDIES))

    def share_decided(further: int) -> float:
        return float(np.mean(_are_decided(found, margin, level, further, drawn)))

    if most < 1 or share_decided(most) < POWER:
        return "too many"
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_decided(middle) >= POWER else (middle, high)
    return high


def _are_decided(
    found: Difference, margin: float | None, level: float, further: int, drawn_GM: Floats
) -> Flags:
    """Return whether the test says something in each of M studies with so many further seeds.

    `drawn_GM` is each group's luck in each study. Their spread is today's: what is drawn from a
    few runs' spread says no more of it than they do.
    """
    noise = found.noise
    estimates_M = np.full(drawn_GM.shape[1], found.estimate)
    groups = []
    for group, drawn_M in zip(noise.seeds, drawn_GM, strict=True):
        size = group.num_seeds + further
        estimates_M += drawn_M * math.sqrt(group.variance * further) / size
        groups.append(replace(group, num_seeds=size))
    grown = replace(noise, seeds=tuple(groups))
    sizes_M = np.abs(estimates_M)
    is_beyond: Flags = sizes_M - (margin or 0.0) >= grown.always_valid_reach(level)
    if margin is not None:
        is_beyond |= margin - sizes_M >= grown.always_valid_reach(2 * level)
    return is_beyond


def detectable_spreads(num_seeds: int) -> float:
    """The true difference that a paired t test over so many seeds finds in POWER of cases.

    In standard deviations of the difference between two runs of one seed; the examples' noise,
    which comes on top, is left out.
    """
    degrees = num_seeds - 1
    least = stats.t.ppf(1 - LEVEL / 2, degrees)

    def excess(shift: float) -> float:
        return float(stats.nct.sf(least, degrees, shift)) - POWER

    return float(brentq(excess, 0.1, 50)) / math.sqrt(num_seeds)
