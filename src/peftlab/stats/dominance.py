"""Almost stochastic dominance: how nearly one arm's runs are better at every quantile."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from peftlab.stats.noise import LEVEL
from peftlab.tasks.problem import Floats

LEAST_RUNS = 5
"""The fewest runs; with fewer, their bootstrap says next to nothing."""
NUM_RESAMPLES = 1000


def violation_ratio(lefts_RA: Floats, rights_RB: Floats) -> Floats:
    """Return how far left is from dominating right, for each row: 0 does, 1 is dominated.

    With the quantile functions F and G it is the part of the integral of (F - G)^2 where F < G
    (del Barrio et al. 2018, arXiv 1705.01788); 0.5 where they are the same.

    >>> violation_ratio(np.array([[2.0, 3.0]]), np.array([[1.0, 2.5]]))
    array([0.])
    """
    cuts = np.union1d(
        *(np.arange(1, rows.shape[1] + 1) / rows.shape[1] for rows in (lefts_RA, rights_RB))
    )
    widths = np.diff(cuts, prepend=0.0)
    middles = cuts - widths / 2
    quantiles = [
        np.sort(rows, axis=1)[:, (middles * rows.shape[1]).astype(int)]
        for rows in (lefts_RA, rights_RB)
    ]
    gaps = quantiles[0] - quantiles[1]
    whole: Floats = (gaps**2) @ widths
    against: Floats = np.where(gaps < 0, gaps**2, 0.0) @ widths
    return np.divide(against, whole, out=np.full_like(whole, 0.5), where=whole > 0)


def dominance(lefts: Floats, rights: Floats, generator: np.random.Generator) -> float | None:
    """Return the 95% upper bound of the ratio; below 0.5 the left almost dominates.

    Dror et al. 2019 (ACL, "Deep Dominance"): the ratio less sqrt((n + m) / (n m)) times the
    bootstrap's deviation times the normal quantile of LEVEL. None below LEAST_RUNS runs.
    """
    sizes = len(lefts), len(rights)
    if min(sizes) < LEAST_RUNS:
        return None
    observed = float(violation_ratio(lefts[None], rights[None])[0])
    drawn = [
        own[generator.integers(0, len(own), size=(NUM_RESAMPLES, len(own)))]
        for own in (lefts, rights)
    ]
    scale = math.sqrt(sizes[0] * sizes[1] / sum(sizes))
    deviation = scale * float(np.std(violation_ratio(drawn[0], drawn[1]) - observed, ddof=1))
    bound = observed - deviation / scale * float(special.ndtri(LEVEL))
    return min(max(bound, 0.0), 1.0)
