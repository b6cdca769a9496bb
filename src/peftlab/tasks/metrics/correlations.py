"""Metrics of scores: correlations with the labels of a regression.

Dimensions: R weightings, N examples, S seeds.
"""

from __future__ import annotations

import numpy as np

from peftlab.tasks.metrics.weights import quotient
from peftlab.tasks.problem import Floats, Values

NO_SPREAD = 1e-12
"""The share of the mean square below which a variance is only rounding of a constant."""


def pearson(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return Pearson's correlation; 0 if one side is constant."""
    labels_1N = labels_N[None].astype(np.float64)
    columns = [_correlation(weights_RN, labels_1N, own_N[None]) for own_N in predictions_SN]
    return np.stack(columns, axis=1)


def spearman(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return Spearman's rank correlation, ties at their mean rank; 0 if one side is constant."""
    labels_RN = _ranks(weights_RN, labels_N)
    columns = [
        _correlation(weights_RN, labels_RN, _ranks(weights_RN, own_N)) for own_N in predictions_SN
    ]
    return np.stack(columns, axis=1)


def _correlation(weights_RN: Floats, left_RN: Floats, right_RN: Values) -> Floats:
    """Return the weighted correlation [R] of each row."""
    total_R1 = weights_RN.sum(axis=1, keepdims=True)
    shares_RN = weights_RN / total_R1
    left_RN = left_RN - (shares_RN * left_RN).sum(axis=1, keepdims=True)
    centred_RN = right_RN - (shares_RN * right_RN).sum(axis=1, keepdims=True)
    left_R = _variance(shares_RN, left_RN, np.abs(left_RN).max(initial=0.0))
    right_R = _variance(shares_RN, centred_RN, np.abs(right_RN).max(initial=0.0))
    covariance_R: Floats = (shares_RN * left_RN * centred_RN).sum(axis=1)
    return quotient(covariance_R, np.sqrt(left_R * right_R))


def _variance(shares_RN: Floats, centred_RN: Floats, scale: float) -> Floats:
    """Return the weighted variance [R] of each row, 0 where it is only rounding."""
    variance_R: Floats = (shares_RN * centred_RN**2).sum(axis=1)
    return np.where(variance_R > (NO_SPREAD * scale) ** 2, variance_R, 0.0)


def _ranks(weights_RN: Floats, values_N: Values) -> Floats:
    """Return the mean rank [R, N] of each example's value among the weighted ones."""
    distinct_D, place_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(place_N, kind="stable")
    starts_D = np.searchsorted(place_N[order_N], np.arange(len(distinct_D)))
    counts_RD = np.add.reduceat(weights_RN[:, order_N], starts_D, axis=1)
    ranks_RD: Floats = counts_RD.cumsum(axis=1) - (counts_RD - 1) / 2
    return ranks_RD[:, place_N]
