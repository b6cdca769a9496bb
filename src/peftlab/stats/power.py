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
from peftlab.stats.noise import LEVEL, Noise
from peftlab.stats.tails import always_valid_tail, upper_tail
from peftlab.stats.weighted import Floats

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
        return float(np.mean(_p_values(found, margin, further, drawn) <= level))

    if most < 1 or share_decided(most) < POWER:
        return "too many"
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_decided(middle) >= POWER else (middle, high)
    return high


def _p_values(found: Difference, margin: float | None, further: int, drawn_GM: Floats) -> Floats:
    """Return the p value [M] of each simulated study with so many further seeds.

    `drawn_GM` is each group's luck in each of M studies. Their spread is today's: what a few runs
    say of it is as good as what is drawn from it.
    """
    noise = found.noise
    estimates_M = np.full(drawn_GM.shape[1], found.estimate)
    groups = []
    for group, drawn_M in zip(noise.seeds, drawn_GM, strict=True):
        size = group.num_seeds + further
        estimates_M += drawn_M * math.sqrt(group.variance * further) / size
        groups.append(replace(group, num_seeds=size))
    grown = replace(noise, seeds=tuple(groups))
    if margin is None:
        return np.minimum(1.0, 2 * _tails(grown, np.abs(estimates_M)))
    inside_M = margin - np.abs(estimates_M)
    return np.minimum(_tails(grown, inside_M), 2 * _tails(grown, -inside_M))


def _tails(noise: Noise, distances_M: Floats) -> Floats:
    of_seeds_M = np.full(len(distances_M), noise.of_seeds)
    return always_valid_tail(
        distances_M,
        noise.examples + noise.grain,
        noise.num_examples,
        of_seeds_M,
        noise.num_pairs,
        noise.degrees,
    )


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
