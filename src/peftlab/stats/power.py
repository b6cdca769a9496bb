"""How many further seeds would probably decide a comparison that is not decided yet."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.weighted import Floats

POWER = 0.8
NUM_STUDIES = 2000
MOST_SEEDS = 100
"""Beyond so many seeds in all, nobody waits."""
TINY = float(np.finfo(np.float64).tiny)

Test = Callable[[Floats, Floats, Floats], Floats]
"""(estimates, standard errors, degrees of freedom) -> the p value of each simulated study."""
Hopeless = Literal["examples", "too many"]
"""Why no number of seeds is given: the examples' noise alone forbids it, or it is too large."""


def difference_p(estimates: Floats, errors: Floats, degrees: Floats) -> Floats:
    """Of there being no difference, two-sided."""
    return 2 * _tail(np.abs(estimates) / errors, degrees)


def equivalence_p(margin: float) -> Test:
    """Of the difference being at least the margin, or at most it, whichever is smaller."""

    def test(estimates: Floats, errors: Floats, degrees: Floats) -> Floats:
        apart = (margin - np.abs(estimates)) / errors
        return np.minimum(_tail(apart, degrees), 2 * _tail(-apart, degrees))

    return test


def further_seeds(
    found: Difference, test: Test, level: float, generator: np.random.Generator
) -> int | Hopeless:
    """The least number of further seeds with which the test would say something in POWER of cases.

    Studies are simulated that keep the seeds and the examples there are and add seeds to them,
    whose scores spread around today's estimate as today's do. `level` is that of the test.
    """
    noise = found.noise
    group_sizes = [group.num_seeds for group in noise.seeds]
    if not group_sizes:
        raise ValueError("one seed does not tell how seeds differ")

    def share_decided(further: int) -> float:
        estimates = np.full(NUM_STUDIES, found.estimate)
        variances, below = np.full(NUM_STUDIES, noise.examples), np.zeros(NUM_STUDIES)
        for group in noise.seeds:
            size = group.num_seeds + further
            luck = generator.normal(size=NUM_STUDIES) * np.sqrt(group.variance * further)
            estimates += luck / size
            spreads = group.variance * generator.chisquare(size - 1, size=NUM_STUDIES) / (size - 1)
            variances += np.maximum(spreads, group.own) / size
            below += (spreads / size) ** 2 / (size - 1)
        errors = np.sqrt(np.maximum(variances, TINY))
        degrees = np.minimum(variances**2 / np.maximum(below, TINY), noise.num_examples - 1)
        return float(np.mean(test(estimates, errors, np.maximum(degrees, 1.0)) <= level))

    limit = test(
        np.array([found.estimate]),
        np.array([max(noise.examples, TINY) ** 0.5]),
        np.array([noise.num_examples - 1.0]),
    )
    if limit[0] > level:
        return "examples"
    most = MOST_SEEDS - min(group_sizes)
    if most < 1 or share_decided(most) < POWER:
        return "too many"
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_decided(middle) >= POWER else (middle, high)
    return high


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


def _tail(statistics: Floats, degrees: Floats) -> Floats:
    return np.asarray(stats.t.sf(statistics, degrees), dtype=np.float64)
