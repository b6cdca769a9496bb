"""The size and the power of tests of a difference with few seeds, by integration.

    python -m benchmarks.tail_sizes

V_E is 1; the spread of the seeds is drawn from chi square, the estimate from the normal
distribution (stats/noise.py). For each number of seeds and level it prints the largest size, as a
multiple of the level, that a test has over V_SE from 0.001 to 4 and V_S from 0 to 10,000 times
V_SE, and its power for a true difference of two spreads of a pair of runs where V_S is 1 and V_SE
0.001: of Satterthwaite's test, of the sum of squared quantiles, and of the one that peftlab uses.
Then, for three seeds and 1%, the power of the last one as a multiple of what Satterthwaite's test
has at the level at which its largest size is 1%.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from peftlab.stats.tails import fixed_tail
from peftlab.tasks.problem import Floats

NUM_SEEDS, LEVELS = (3, 5, 10), (0.05, 0.01, 0.0025)
OWN, SEEDS = (0.001, 0.1, 1.0, 4.0), np.concatenate([[0.0], np.logspace(-1, 4, 16)])
NUM_NODES = 120
MANY = 10**7

Critical = Callable[[float, float, int, float], float]
"""The type of a test: from (level, s^2, S, V_SE) to the lowest significant estimate."""


def satterthwaite(level: float, spread: float, num_seeds: int, own: float) -> float:
    """Return the bound of the older test: Student's quantile with degrees of freedom of the sum."""
    variance = 1 + max(spread, own) / num_seeds
    degrees = variance**2 / ((spread / num_seeds) ** 2 / (num_seeds - 1))
    return float(stats.t.isf(level / 2, degrees) * variance**0.5)


def sum_of_squares(level: float, spread: float, num_seeds: int, own: float) -> float:
    """Return the bound from Student's quantile (seeds) and the normal one (examples), squared."""
    t, z = stats.t.isf(level / 2, num_seeds - 1), stats.norm.isf(level / 2)
    return float((max(t**2 * spread, z**2 * own) / num_seeds + z**2) ** 0.5)


def generalized(level: float, spread: float, num_seeds: int, own: float) -> float:
    """Return the bound of peftlab's test."""
    groups = [(spread, own, num_seeds)]
    return float(
        brentq(lambda c: fixed_tail(c, 1.0, MANY, groups) - level / 2, 0.0, 1e6, xtol=1e-4)
    )


def rejected(
    test: Critical, level: float, num_seeds: int, own: float, seeds: float, size: float = 0.0
) -> float:
    """Return how often the test rejects if the true difference is `size` spreads of a pair."""
    shares = np.concatenate([np.logspace(-8, -2, NUM_NODES), np.linspace(0.01, 1, NUM_NODES)[1:]])
    edges = np.concatenate([[0.0], shares])
    draws: Floats = stats.chi2.ppf((edges[1:] + edges[:-1]) / 2, num_seeds - 1)
    true = seeds + own
    deviation = (1 + true / num_seeds) ** 0.5
    critical = np.array([test(level, true * d / (num_seeds - 1), num_seeds, own) for d in draws])
    shift = size * true**0.5
    beyond = stats.norm.sf((critical - shift) / deviation)
    beyond += stats.norm.cdf((-critical - shift) / deviation)
    return float(np.diff(edges) @ beyond)


def largest_size(test: Critical, level: float, num_seeds: int) -> float:
    """Return the largest size of the test over all mixtures of the parts."""
    return max(rejected(test, level, num_seeds, own, own * k) for own in OWN for k in SEEDS)


def main() -> None:
    """Print both tables."""
    tests: tuple[Critical, ...] = (satterthwaite, sum_of_squares, generalized)
    print("| test | seeds | level | largest size / level | power |", flush=True)
    for num_seeds in NUM_SEEDS:
        for level in LEVELS:
            for test in tests:
                size = largest_size(test, level, num_seeds) / level
                power = rejected(test, level, num_seeds, 0.001, 1.0, 2.0)
                cells = (test.__name__, str(num_seeds), f"{100 * level:g}%")
                print("|", " | ".join((*cells, f"{size:.2f}", f"{power:.3f}")), "|", flush=True)
    calibrated = 10 ** brentq(
        lambda log: largest_size(satterthwaite, 10**log, 3) - 0.01, -6, -2, xtol=0.02
    )
    print("| V_SE | V_S | power, as a multiple |", flush=True)
    for own in OWN:
        for seeds in (0.0, 0.3, 1.0, 4.0, 20.0, 100.0):
            new = rejected(generalized, 0.01, 3, own, seeds, 2.0)
            old = rejected(satterthwaite, float(calibrated), 3, own, seeds, 2.0)
            print(f"| {own:g} | {seeds:g} | {new / old:.2f} |", flush=True)


if __name__ == "__main__":
    main()
