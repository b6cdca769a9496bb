"""Metrics of the same predictions under many weightings of the examples, all at once.

Dimensions: R weightings, N examples, S seeds, C labels of which an example may have several: they
come as labels [N, C] and predictions [S, N, C] of 0 and 1. A weight is how often an example is
there, so that a bootstrap resample is a row of counts. Scores are in points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from peftlab.core.registry import Registry
from peftlab.tasks.problem import Values

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Weighted = Callable[[Floats, Values, Values], Floats]
"""(weights [R, N], labels, predictions, a seed each) -> scores [R, S], in points."""

WEIGHTED = Registry[Weighted]("metric")
RANGE = 100.0
"""Points: the best score by every metric."""
CORRELATIONS = frozenset({"matthews_correlation", "pearson", "spearman"})
"""Metrics that can be as low as -RANGE; the others end at 0."""
SHARES = frozenset({"accuracy", "subset_accuracy"})
"""Metrics by which an example is right or wrong."""
NO_SPREAD = 1e-12
"""A variance below this share of the mean square is that of a constant, but for rounding."""


def accuracy(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """The share of predictions that are right."""
    right_RS = _count(weights_RN, predictions_SN == labels_N)
    shares_RS: Floats = right_RS / weights_RN.sum(axis=1, keepdims=True)
    return 100 * shares_RS


def f1(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """2 TP / (predicted + labelled) of class 1 of two; 0 where neither holds it."""
    is_labelled_N = labels_N == 1
    right_RS = _count(weights_RN, (predictions_SN == 1) & is_labelled_N)
    predicted_RS = _count(weights_RN, predictions_SN == 1)
    labelled_R1 = _count(weights_RN, is_labelled_N[None])
    return 100 * _quotient(2 * right_RS, predicted_RS + labelled_R1)


def f1_macro(weights_RN: Floats, labels: Values, predictions: Values) -> Floats:
    """The mean F1 of the classes that either side holds, or of all labels; 0 of an empty one."""
    total = number = np.zeros((len(weights_RN), len(predictions)))
    for own_N, own_SN in _one_by_one(labels, predictions):
        right_RS, size_RS, _ = _sizes(weights_RN, own_N, own_SN)
        total = total + _quotient(2 * right_RS, size_RS)
        number = number + (size_RS > 0 if labels.ndim == 1 else 1.0)
    return 100 * _quotient(total, number)


def f1_weighted(weights_RN: Floats, labels: Values, predictions: Values) -> Floats:
    """The same mean, each weighing as often as it is labelled; 0 where nothing is labelled."""
    total = np.zeros((len(weights_RN), len(predictions)))
    weight_R1 = np.zeros((len(weights_RN), 1))
    for own_N, own_SN in _one_by_one(labels, predictions):
        right_RS, size_RS, labelled_R1 = _sizes(weights_RN, own_N, own_SN)
        total = total + labelled_R1 * _quotient(2 * right_RS, size_RS)
        weight_R1 = weight_R1 + labelled_R1
    return 100 * _quotient(total, np.broadcast_to(weight_R1, total.shape))


def f1_micro(weights_RN: Floats, labels_NC: Values, predictions_SNC: Values) -> Floats:
    """F1 of all labels of all examples counted together."""
    right_RS = weights_RN @ ((labels_NC == 1) & (predictions_SNC == 1)).sum(axis=2).T
    size_RS = weights_RN @ (labels_NC.sum(axis=1) + predictions_SNC.sum(axis=2)).T
    return 100 * _quotient(2.0 * right_RS, size_RS)


def subset_accuracy(weights_RN: Floats, labels_NC: Values, predictions_SNC: Values) -> Floats:
    """The share of examples whose labels are all right."""
    right_RS = _count(weights_RN, (predictions_SNC == labels_NC).all(axis=2))
    shares_RS: Floats = right_RS / weights_RN.sum(axis=1, keepdims=True)
    return 100 * shares_RS


def matthews_correlation(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Matthews' correlation of any number of classes (Gorodkin 2004); 0 where a side is constant.

    With totals n, right answers c, and counts t_k and p_k of the classes:
    (c n - sum t_k p_k) / sqrt((n^2 - sum p_k^2)(n^2 - sum t_k^2)).
    """
    total_R1 = weights_RN.sum(axis=1, keepdims=True)
    right_RS = _count(weights_RN, predictions_SN == labels_N)
    covariance_RS = right_RS * total_R1
    predicted_RS = np.broadcast_to(total_R1**2, right_RS.shape)
    labelled_R1 = total_R1**2
    for label in np.union1d(labels_N, predictions_SN):
        predictions_RS = _count(weights_RN, predictions_SN == label)
        labels_R1 = _count(weights_RN, (labels_N == label)[None])
        covariance_RS = covariance_RS - predictions_RS * labels_R1
        predicted_RS = predicted_RS - predictions_RS**2
        labelled_R1 = labelled_R1 - labels_R1**2
    return 100 * _quotient(covariance_RS, np.sqrt(predicted_RS * labelled_R1))


def pearson(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Pearson's correlation; 0 where a side is constant."""
    labels_1N = labels_N[None].astype(np.float64)
    columns = [_correlation(weights_RN, labels_1N, own_N[None]) for own_N in predictions_SN]
    return 100 * np.stack(columns, axis=1)


def spearman(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Spearman's rank correlation, ties at their mean rank; 0 where a side is constant."""
    labels_RN = _ranks(weights_RN, labels_N)
    columns = [
        _correlation(weights_RN, labels_RN, _ranks(weights_RN, own_N)) for own_N in predictions_SN
    ]
    return 100 * np.stack(columns, axis=1)


def _one_by_one(labels: Values, predictions: Values) -> Iterator[tuple[Flags, Flags]]:
    """Of each class that is there, or of each label, who has it: [N] and [S, N]."""
    if labels.ndim == 2:
        for place in range(labels.shape[1]):
            yield labels[:, place] == 1, predictions[:, :, place] == 1
    else:
        for label in np.union1d(labels, predictions):
            yield labels == label, predictions == label


def _sizes(weights_RN: Floats, own_N: Flags, own_SN: Flags) -> tuple[Floats, Floats, Floats]:
    """How often a class is right, [R, S]; predicted and labelled together; labelled, [R, 1]."""
    labelled_R1 = _count(weights_RN, own_N[None])
    return _count(weights_RN, own_SN & own_N), _count(weights_RN, own_SN) + labelled_R1, labelled_R1


def _count(weights_RN: Floats, holds_SN: npt.NDArray[np.bool_]) -> Floats:
    """The weight of the examples for which something holds, [R, S]."""
    counts: Floats = weights_RN @ holds_SN.T.astype(np.float64)
    return counts


def _quotient(above: Floats, below: Floats) -> Floats:
    """above / below, 0 where `below` is."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _correlation(weights_RN: Floats, left_RN: Floats, right_RN: Values) -> Floats:
    """The weighted correlation of each row, [R]."""
    total_R1 = weights_RN.sum(axis=1, keepdims=True)
    shares_RN = weights_RN / total_R1
    left_RN = left_RN - (shares_RN * left_RN).sum(axis=1, keepdims=True)
    centred_RN = right_RN - (shares_RN * right_RN).sum(axis=1, keepdims=True)
    left_R = _variance(shares_RN, left_RN, np.abs(left_RN).max(initial=0.0))
    right_R = _variance(shares_RN, centred_RN, np.abs(right_RN).max(initial=0.0))
    covariance_R: Floats = (shares_RN * left_RN * centred_RN).sum(axis=1)
    return _quotient(covariance_R, np.sqrt(left_R * right_R))


def _variance(shares_RN: Floats, centred_RN: Floats, scale: float) -> Floats:
    variance_R: Floats = (shares_RN * centred_RN**2).sum(axis=1)
    return np.where(variance_R > (NO_SPREAD * scale) ** 2, variance_R, 0.0)


def _ranks(weights_RN: Floats, values_N: Values) -> Floats:
    """The mean rank of each example's value among the weighted ones, [R, N]."""
    distinct_D, place_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(place_N, kind="stable")
    starts_D = np.searchsorted(place_N[order_N], np.arange(len(distinct_D)))
    counts_RD = np.add.reduceat(weights_RN[:, order_N], starts_D, axis=1)
    ranks_RD: Floats = counts_RD.cumsum(axis=1) - (counts_RD - 1) / 2
    return ranks_RD[:, place_N]


for _metric in (
    accuracy,
    f1,
    f1_macro,
    f1_weighted,
    f1_micro,
    subset_accuracy,
    matthews_correlation,
    pearson,
    spearman,
):
    WEIGHTED.add(_metric.__name__, _metric)
