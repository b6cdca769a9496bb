"""Precision and recall: of a class what is found rightly, and how much of it is found.

Definitions are scikit-learn's with zero_division=0: a class that is never predicted has a precision
of 0, one that no example has a recall of 0. Dimensions: R weightings, N examples, S seeds.
"""

from __future__ import annotations

import numpy as np

from peftlab.tasks.metrics.classes import one_by_one, sizes
from peftlab.tasks.metrics.weights import count, quotient
from peftlab.tasks.problem import Floats, Values


def precision(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return the share of the examples predicted as class 1 of two that have that label."""
    right_RS = count(weights_RN, (predictions_SN == 1) & (labels_N == 1))
    return quotient(right_RS, count(weights_RN, predictions_SN == 1))


def recall(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return the share of the examples labelled as class 1 of two that are predicted as such."""
    right_RS = count(weights_RN, (predictions_SN == 1) & (labels_N == 1))
    labelled_R1 = count(weights_RN, (labels_N == 1)[None])
    return quotient(right_RS, np.broadcast_to(labelled_R1, right_RS.shape))


def precision_macro(
    weights_RN: Floats, labels: Values, predictions: Values, is_by_chance: bool = False
) -> Floats:
    """Return the mean precision of the classes that either side holds, or of all labels.

    `is_by_chance`: the mean of that over all permutations of the predictions.
    """
    total = number = np.zeros((len(weights_RN), len(predictions)))
    for own_N, own_SN in one_by_one(labels, predictions):
        right_RS, predicted_RS, labelled_R1 = sizes(weights_RN, own_N, own_SN, is_by_chance)
        total = total + quotient(right_RS, predicted_RS)
        is_held_RS = predicted_RS + labelled_R1 > 0
        number = number + (is_held_RS if labels.ndim == 1 else 1.0)
    return quotient(total, number)


def recall_macro(weights_RN: Floats, labels: Values, predictions: Values) -> Floats:
    """Return the mean recall of the classes that either side holds, or of all labels."""
    total = number = np.zeros((len(weights_RN), len(predictions)))
    for own_N, own_SN in one_by_one(labels, predictions):
        right_RS = count(weights_RN, own_SN & own_N)
        labelled_RS = np.broadcast_to(count(weights_RN, own_N[None]), right_RS.shape)
        total = total + quotient(right_RS, labelled_RS)
        is_held_RS = count(weights_RN, own_SN) + labelled_RS > 0
        number = number + (is_held_RS if labels.ndim == 1 else 1.0)
    return quotient(total, number)


def balanced_accuracy(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return the mean recall of the classes that some example has.

    It differs from `recall_macro` by the classes that are predicted and that no example has.
    """
    total = number = np.zeros((len(weights_RN), len(predictions_SN)))
    for own_N, own_SN in one_by_one(labels_N, predictions_SN):
        right_RS = count(weights_RN, own_SN & own_N)
        labelled_RS = np.broadcast_to(count(weights_RN, own_N[None]), right_RS.shape)
        total = total + quotient(right_RS, labelled_RS)
        number = number + (labelled_RS > 0)
    return quotient(total, number)
