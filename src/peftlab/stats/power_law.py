"""Scores against the number of training rows: a power law, and what it says of further rows.

The merit of a method mostly follows

    m(n) = a - b n^-c      (b >= 0, c > 0, a at most the best score of the metric)

in the number n of training rows (Cortes et al. 1993; Hestness et al. 2017, arXiv 1712.00409). It
takes four sizes to find the three numbers and to say whether the law fits: with three sizes, and
the best score there is for a, scores that tend to less were predicted wrongly more often than not
(benchmarks/simulated_sizes.py). The doubt of a prediction is that of the law as of the scores: the
mean at each size is drawn anew, around the observed one by Student's t, the law is found again for
each draw, and what the examples add, which are the same at all sizes, comes on top. Means of sizes
are taken to be independent; nested subsets with the same seeds make them alike, so that the
prediction is surer than it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from peftlab.stats.noise import LEVEL
from peftlab.tasks.problem import Floats

LEAST_SIZES = 4
EXPONENTS = np.linspace(0.02, 2.0, 100)
"""The values of c that are tried; those found for rows of text lie between 0.07 and 0.7."""
NUM_FOUND = 3
"""The numbers that a law has: a, b and c."""
NUM_DRAWS = 2000
LEAST_ERROR = 0.05
"""Points: the least standard error of a mean; smaller ones are chance, and would decide alone."""


@dataclass(frozen=True, kw_only=True)
class MeanAtSize:
    """The mean merit of `num_seeds` runs on so many rows, in points.

    `error` is its standard error by the seeds; that of the examples is common to all sizes.
    """

    num_rows: float
    merit: float
    error: float
    num_seeds: int


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The merit that a power law expects on `num_rows` rows, and its 95% interval."""

    num_rows: float
    merit: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class NoPrediction:
    """The reason why nothing is expected of further rows, as the end of a sentence."""

    reason: str


def predicted(
    means: Sequence[MeanAtSize],
    num_rows: float,
    *,
    examples: float,
    best: float,
    generator: np.random.Generator,
) -> Prediction | NoPrediction:
    """Return the merit that is expected on so many rows, or why it cannot be said.

    `means` are those of sizes in ascending order, `examples` the variance of a mean by the examples
    that it is measured on, `best` the greatest merit that the metric allows.
    """
    if len(means) < LEAST_SIZES:
        return NoPrediction(reason=f"it takes {LEAST_SIZES} sizes of train or more")
    if any(one.num_seeds < 2 for one in means):
        return NoPrediction(reason="one seed does not tell how far a score varies")
    rows_K = np.array([one.num_rows for one in means])
    merits_K = np.array([one.merit for one in means])
    errors_K = np.maximum([one.error for one in means], LEAST_ERROR)
    degrees_K = np.array([one.num_seeds - 1 for one in means])
    at = np.append(rows_K, num_rows)
    fitted = _fitted(rows_K, merits_K[None], errors_K, at, best)[0]
    num_free = len(means) - NUM_FOUND
    misfit = float(np.sum(((merits_K - fitted[:-1]) / errors_K) ** 2)) / num_free
    degrees = int(degrees_K.sum())
    if special.fdtrc(num_free, degrees, misfit) < LEVEL:
        return NoPrediction(reason="no power law fits its scores")
    if fitted[-2] - fitted[0] <= 0:
        return NoPrediction(reason="its scores do not rise with the rows")
    drawn_MK = merits_K + errors_K * generator.standard_t(degrees_K, (NUM_DRAWS, len(means)))
    merits_M = _fitted(rows_K, drawn_MK, errors_K, at, best)[:, -1]
    merits_M += generator.normal(size=NUM_DRAWS) * np.sqrt(examples)
    low, high = np.quantile(merits_M, [LEVEL / 2, 1 - LEVEL / 2])
    return Prediction(
        num_rows=num_rows,
        merit=float(fitted[-1]),
        low=float(min(low, fitted[-1])),
        high=float(min(max(high, fitted[-1]), best)),
    )


def _fitted(
    rows_K: Floats, merits_MK: Floats, errors_K: Floats, at_J: Floats, best: float
) -> Floats:
    """Return the merits [M, J] at these rows of the laws that are nearest to M sets of means.

    For each exponent a and b are found by weighted least squares within their bounds.
    """
    weights_K = errors_K**-2 / np.sum(errors_K**-2)
    least_M = np.full(len(merits_MK), np.inf)
    found_MJ = np.zeros((len(merits_MK), len(at_J)))
    mean_M = merits_MK @ weights_K
    for exponent in EXPONENTS:
        # Divided by its first value, so that b is in points.
        x_K, x_J = (rows_K / rows_K[0]) ** -exponent, (at_J / rows_K[0]) ** -exponent
        centred_K = x_K - x_K @ weights_K
        b_M = -(merits_MK * weights_K) @ centred_K / (weights_K @ centred_K**2)
        a_M = mean_M + b_M * (x_K @ weights_K)
        is_beyond_M = a_M > best
        of_best_M = ((best - merits_MK) * weights_K) @ x_K / (weights_K @ x_K**2)
        a_M, b_M = np.where(is_beyond_M, best, a_M), np.where(is_beyond_M, of_best_M, b_M)
        is_level_M = b_M < 0
        a_M, b_M = np.where(is_level_M, mean_M, a_M), np.where(is_level_M, 0.0, b_M)
        squares_M = (merits_MK - a_M[:, None] + b_M[:, None] * x_K) ** 2 @ weights_K
        is_nearer_M = squares_M < least_M
        least_M = np.where(is_nearer_M, squares_M, least_M)
        law_MJ = a_M[:, None] - b_M[:, None] * x_J
        found_MJ = np.where(is_nearer_M[:, None], law_MJ, found_MJ)
    return found_MJ
