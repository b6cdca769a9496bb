"""How likely noise alone is to carry an estimate so far: for one look, and for any number of looks.

An estimate over S seeds has the variance V_E + sigma^2 / S (noise.py). V_E is known from the
bootstrap. Of sigma^2, at least V_SE, there is the sample variance s^2 of S runs, which for few runs
is small by chance often enough: a quantile that is right for the most likely sigma is then wrong
where a family of claims needs small p values.

**One look** (`fixed_tail`). Given sigma the tail is known; s^2 says of sigma that
(S - 1) s^2 / sigma^2 is a draw of chi square with S - 1 degrees of freedom. The tail is the mean
over these draws, sigma^2 being max(V_SE, (S - 1) s^2 / draw): a generalized p value (Tsui and
Weerahandi 1989), which without V_E and V_SE is Student's t test, and with two groups that of
Behrens and Fisher. Its size is at most the level for any V_E, V_SE and sigma
(docs/statistics.md).

**Any number of looks** (`always_valid_tail`). The mixture of t tests over effects delta ~ N(0, 1),
in deviations of a seed's difference, is an e-value: whatever the true spread, the chance that it
ever exceeds 1 / alpha is at most alpha, however often one looks and whenever one stops
(Perez-Ortiz, Lardy, de Heide and Grünwald 2024, Annals of Statistics 52). The examples stay the
same at all looks, so that their part is one normal variable; with the quantiles of both,
c^2 = t_mix^2 max(s^2, V_SE) / S + z^2 V_E.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special

from peftlab.stats.weighted import Floats

NUM_NODES = {1: 128, 2: 48}
"""Draws of chi square, by how many groups of seeds there are: every pair of them is a case."""
LEAST_SHARE = 1e-9
"""What is left out of either end of chi square."""
LEAST_DEGREES = 0.5
"""The variance of Student's t with f degrees of freedom is f / (f - 2)."""
LEAST_LEVEL = 1e-12
NUM_HALVINGS = 44
"""From LEAST_LEVEL to 1 a level is found to this many bits of its logarithm."""


def fixed_tail(
    distance: float, examples: float, num_examples: int, seeds: Sequence[tuple[float, float, int]]
) -> float:
    """Return the probability of an estimate at least so far above a bound, in one look.

    `distance` is in points and may be negative; `examples` is V_E in points squared; `seeds` has
    for each group of runs (s^2, V_SE, S). At least one of the variances is positive.
    """
    degrees = num_examples - 1
    if not seeds:
        return float(upper_tail(np.array([distance / math.sqrt(examples)]), degrees)[0])
    # V_E is itself known from so many examples: its part is as wide as Student's t.
    widened = examples * (degrees / max(degrees - 2, LEAST_DEGREES) if degrees > 0 else 1.0)
    variances, weights = np.array([widened]), np.ones(1)
    for spread, own, size in seeds:
        draws, shares = _chi_square(size - 1, NUM_NODES[len(seeds)])
        part = np.maximum((size - 1) * spread / draws, own) / size
        variances = (variances[:, None] + part).reshape(-1)
        weights = (weights[:, None] * shares).reshape(-1)
    return float(weights @ upper_tail(distance / np.sqrt(variances), 0))


def always_valid_reach(
    level: float,
    examples: float,
    num_examples: int,
    of_seeds: float,
    num_seeds: float,
    degrees: int,
) -> float:
    """Return half of the interval of 1 - level for any number of looks, in points.

    `of_seeds` is the seeds' part of the variance, in points squared; `num_seeds` is what a
    difference of two means is worth in pairs of runs, and `degrees` are those of the spread. It is
    infinite for fewer runs than can tell anything at the level.
    """
    squared = mixture_statistic(level, num_seeds, degrees) * of_seeds if of_seeds else 0.0
    if examples:
        squared += upper_quantile(level / 2, num_examples - 1) ** 2 * examples
    return math.sqrt(squared)


def always_valid_tail(
    distance: float,
    examples: float,
    num_examples: int,
    of_seeds: float,
    num_seeds: float,
    degrees: int,
) -> float:
    """Return the probability of an estimate at least so far above a bound, in any number of looks.

    It is half of the level whose interval just ends at the bound, and 1 for an estimate that is not
    above it. The other parameters are those of `always_valid_reach`.
    """
    if distance <= 0:
        return 1.0
    low, high = math.log(LEAST_LEVEL), 0.0
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        reach = always_valid_reach(
            math.exp(middle), examples, num_examples, of_seeds, num_seeds, degrees
        )
        low, high = (low, middle) if distance >= reach else (middle, high)
    return math.exp(high) / 2 if high < 0 else 1.0


def mixture_statistic(level: float, num_seeds: float, degrees: int) -> float:
    """Return the square of the t statistic whose mixture is 1 / level; infinite where none is.

    With n runs and f degrees of freedom the mixture of t is
    (1 + n)^(-1/2) ((1 + t^2 / f) / (1 + t^2 / (f (1 + n))))^((f + 1) / 2).
    """
    wanted = math.exp((0.5 * math.log1p(num_seeds) - math.log(level)) * 2 / (degrees + 1))
    left = 1 - wanted / (1 + num_seeds)
    return degrees * (wanted - 1) / left if left > 0 else math.inf


def upper_tail(statistics: Floats, degrees: float) -> Floats:
    """Return the probabilities that Student's t is at least these; normal for no degrees."""
    found: Floats = np.asarray(
        special.stdtr(degrees, -statistics) if degrees > 0 else special.ndtr(-statistics)
    )
    return found


def upper_quantile(share: float, degrees: float) -> float:
    """Return what Student's t exceeds with this probability; the normal for no degrees."""
    return float(-special.stdtrit(degrees, share) if degrees > 0 else -special.ndtri(share))


@lru_cache(maxsize=256)
def _chi_square(degrees: int, num: int) -> tuple[Floats, Floats]:
    """Return values of chi square, evenly spaced in their logarithm, and the share of each."""
    least = special.chdtri(degrees, 1 - LEAST_SHARE)
    most = special.chdtri(degrees, LEAST_SHARE)
    logs = np.linspace(math.log(least), math.log(most), num)
    densities = degrees / 2 * logs - np.exp(logs) / 2
    shares = np.exp(densities - densities.max())
    return np.exp(logs), shares / shares.sum()
