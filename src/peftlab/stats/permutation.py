"""Permutation tests of two arms, which exchange what is exchangeable if the arms are equal."""

from __future__ import annotations

import numpy as np
from scipy import special

from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import NUM_RESAMPLES, patterns
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Floats, Values

LEAST_SEEDS = 6
"""The fewest pairs of runs with which a sign flip's least p value, 2 / 2^S, is below 0.05."""
MOST_FLIPS = 12
"""The most pairs for which all 2^S flips are tried; for more, NUM_RESAMPLES random ones."""
ROUNDING = 1e-9


def swap_test(
    left: Outcomes, right: Outcomes, generator: np.random.Generator, num: int = NUM_RESAMPLES
) -> float:
    """Return the two-sided p value of the trained models being equal on such examples.

    On every example the two arms' predictions, of all seeds together, change sides or do not
    (Yeh 2000, arXiv cs/0008005), and the metric's mean over seeds is computed anew. It says
    nothing of other seeds. What was observed is one of the draws, so that p is never 0.
    Where one arm has more seeds than the other, its first ones are taken.
    """
    rows = min(len(left.seeds), len(right.seeds))
    found = patterns([left.of_seeds(left.seeds[:rows]), right.of_seeds(right.seeds[:rows])])
    sizes_P, metric = found.sizes_P, METRICS.get(left.metric)
    labels_2P: Values = np.concatenate([found.labels_P, found.labels_P])
    sides_S2P = np.concatenate(found.predictions, axis=1)
    moved_RP = generator.binomial(sizes_P, 0.5, size=(num, len(sizes_P))).astype(np.float64)
    moved_RP[0] = 0  # as they are
    kept_RP = sizes_P - moved_RP
    lefts_RS = metric.weighted_scores(np.hstack([kept_RP, moved_RP]), labels_2P, sides_S2P)
    rights_RS = metric.weighted_scores(np.hstack([moved_RP, kept_RP]), labels_2P, sides_S2P)
    differences_R = np.abs((lefts_RS - rights_RS).mean(axis=1))
    return float(np.mean(differences_R >= differences_R[0] - ROUNDING))


def flip_test(differences_S: Floats, generator: np.random.Generator) -> float | None:
    """Return the two-sided p value of S paired differences being equally likely of either sign.

    None for fewer than LEAST_SEEDS of them, which could never say that anything differs.
    scipy.stats.permutation_test gives the same values in 3 (6 seeds) to 24 times (12) the time.
    """
    size = len(differences_S)
    if size < LEAST_SEEDS:
        return None
    observed = abs(float(differences_S.mean())) - ROUNDING
    if size <= MOST_FLIPS:
        bits_RS = np.arange(2**size)[:, None] >> np.arange(size) & 1
        means_R = (1 - 2 * bits_RS) @ differences_S / size
        return float(np.mean(np.abs(means_R) >= observed))
    bits_RS = generator.integers(0, 2, size=(NUM_RESAMPLES, size))
    means_R = (1 - 2 * bits_RS) @ differences_S / size
    return float(np.count_nonzero(np.abs(means_R) >= observed) + 1) / (NUM_RESAMPLES + 1)


def mcnemar_test(left: Outcomes, right: Outcomes) -> float | None:
    """Return the exact p value of McNemar's test (1947) of one model each; None but for accuracies.

    Of the examples that just one of the two gets right, half would be either's.
    """
    if not METRICS.get(left.metric).is_share or len(left.seeds) > 1 or len(right.seeds) > 1:
        return None
    is_right = [
        (one.predictions_SN[0] == one.labels_N).reshape(len(one.labels_N), -1).all(axis=1)
        for one in (left, right)
    ]
    only_left = int(np.count_nonzero(is_right[0] & ~is_right[1]))
    only_right = int(np.count_nonzero(is_right[1] & ~is_right[0]))
    if only_left + only_right == 0:
        return 1.0
    least = special.bdtr(min(only_left, only_right), only_left + only_right, 0.5)
    return min(1.0, 2 * float(least))
