"""The probability that noise alone carries an estimate so far: for one look, and for any number of
looks.

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
same at all looks, so that their part is one normal variable. With many seeds it alone is left, and
what went beyond the bound before that comes on top: it gets half of the level, by which the whole
errs in no more than alpha (simulated in tests/stats/test_tails.py; with all of it in 1.6 alpha).
With the quantiles of both, c^2 = t_mix^2 max(s^2, V_SE) / S + z^2 V_E.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special

from peftlab.tasks.problem import Floats

NUM_NODES = {1: 128, 2: 48}
"""The number of chi-square values, by the number of groups of seeds: every pair of them is a
case."""
LEAST_SHARE = 1e-9
"""The probability that is left out at either end of chi square."""
LEAST_DEGREES = 0.5
"""The variance of Student's t with f degrees of freedom is f / (f - 2)."""
EXAMPLES_SHARE = 0.5
"""The share of the level that the examples' part may take, for any number of looks."""
LEAST_LEVEL = 1e-12
NUM_HALVINGS = 44
"""The bits of a level's logarithm, between LEAST_LEVEL and 1, that are found by halving."""


def fixed_tail(
    distance: float, examples: float, num_examples: int, seeds: Sequence[tuple[float, float, int]]
) -> float:
    """Return the probability of an estimate at least this far above a bound, in one look.

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


def always_valid_tail(
    distances: Floats, examples: float, num_examples: int, of_seeds: Floats, num_seeds: float,
    degrees: int,
) -> Floats:  # fmt: skip
    """Return the same for each of several estimates, valid for any number of looks.

    `of_seeds` is the seeds' part of each estimate's variance; `num_seeds` is what a difference of
    two means is worth in pairs of runs, and `degrees` are those of the spread. It is half of the
    level at which the interval of that level just ends at the bound, and 1 where the estimate is
    not above the bound.
    """
    low, high = np.full(len(distances), math.log(LEAST_LEVEL)), np.zeros(len(distances))
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        reach = always_valid_reach(
            np.exp(middle), examples, num_examples, of_seeds, num_seeds, degrees
        )
        is_beyond = distances >= reach
        low, high = np.where(is_beyond, low, middle), np.where(is_beyond, middle, high)
    tails: Floats = np.where((distances > 0) & (high < 0), np.exp(high) / 2, 1.0)
    return tails


def always_valid_reach(
    levels: Floats, examples: float, num_examples: int, of_seeds: Floats, num_seeds: float,
    degrees: int,
) -> Floats:  # fmt: skip
    """Return the half width of the interval at each level, valid for any number of looks.

    The examples' part has EXAMPLES_SHARE of the level. Infinite where too few seeds can tell.
    """
    quantile = upper_quantile(EXAMPLES_SHARE * levels / 2, num_examples - 1)
    statistic = mixture_statistic(levels, num_seeds, degrees)
    # Where too few seeds can tell, they cannot for a spread of 0 either.
    is_finite = np.isfinite(statistic)
    of_mixture = np.where(is_finite, np.where(is_finite, statistic, 0.0) * of_seeds, math.inf)
    return np.asarray(np.sqrt(of_mixture + quantile**2 * examples))


def least_num_seeds(level: float, num_groups: int = 1) -> int:
    """Return the fewest seeds with which an estimate can reach a level, for any number of looks.

    With fewer the mixture stays below 1 / level, however large the statistic is: with n runs it is
    at most (1 + n)^((n - 1) / 2). With two groups n is half of the seeds of each.
    """
    num = 2
    while math.isinf(mixture_statistic(np.array(level), num / num_groups, num - 1)):
        num += 1
    return num


def mixture_statistic(level: Floats, num_seeds: float, degrees: int) -> Floats:
    """Return the square of the t statistic whose mixture is 1 / level; infinite where none is.

    With n runs and f degrees of freedom the mixture of t is
    (1 + n)^(-1/2) ((1 + t^2 / f) / (1 + t^2 / (f (1 + n))))^((f + 1) / 2).
    """
    wanted = np.exp((0.5 * math.log1p(num_seeds) - np.log(level)) * 2 / (degrees + 1))
    left = 1 - wanted / (1 + num_seeds)
    found: Floats = degrees * np.divide(
        wanted - 1, left, out=np.full_like(wanted, math.inf), where=left > 0
    )
    return found


def upper_tail(statistics: Floats, degrees: float) -> Floats:
    """Return the upper tail of Student's t at these values; the normal's if there are no
    degrees."""
    found: Floats = np.asarray(
        special.stdtr(degrees, -statistics) if degrees > 0 else special.ndtr(-statistics)
    )
    return found


def upper_quantile(shares: Floats, degrees: float) -> Floats:
    """Return the upper quantiles of Student's t; those of the normal if there are no degrees."""
    found: Floats = np.asarray(
        -special.stdtrit(degrees, shares) if degrees > 0 else -special.ndtri(shares)
    )
    return found


@lru_cache(maxsize=256)
def _chi_square(degrees: int, num: int) -> tuple[Floats, Floats]:
    """Return values of chi square, evenly spaced in their logarithm, and the share of each."""
    least = special.chdtri(degrees, 1 - LEAST_SHARE)
    most = special.chdtri(degrees, LEAST_SHARE)
    logs = np.linspace(math.log(least), math.log(most), num)
    densities = degrees / 2 * logs - np.exp(logs) / 2
    shares = np.exp(densities - densities.max())
    return np.exp(logs), shares / shares.sum()
