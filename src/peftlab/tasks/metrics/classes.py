"""Metrics of answers that are right or wrong: accuracy, F1 and Matthews' correlation.

Dimensions: R weightings, N examples, S seeds, C labels of which an example may have several: they
come as labels [N, C] and predictions [S, N, C] of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from peftlab.tasks.metrics.weights import count, quotient
from peftlab.tasks.problem import Flags, Floats, Values


def accuracy(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return the share of correct predictions."""
    right_RS = count(weights_RN, predictions_SN == labels_N)
    shares_RS: Floats = right_RS / weights_RN.sum(axis=1, keepdims=True)
    return shares_RS


def f1(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return 2 TP / (predicted + labelled) of class 1 of two; 0 where neither holds it."""
    is_labelled_N = labels_N == 1
    right_RS = count(weights_RN, (predictions_SN == 1) & is_labelled_N)
    predicted_RS = count(weights_RN, predictions_SN == 1)
    labelled_R1 = count(weights_RN, is_labelled_N[None])
    return quotient(2 * right_RS, predicted_RS + labelled_R1)


def f1_macro(
    weights_RN: Floats, labels: Values, predictions: Values, is_by_chance: bool = False
) -> Floats:
    """Return the mean F1 of the classes that either side holds, or of all labels.

    A label that no example has, or is given, has an F1 of 0. `is_by_chance`: the mean of that over
    all permutations of the predictions.
    """
    total = number = np.zeros((len(weights_RN), len(predictions)))
    for own_N, own_SN in one_by_one(labels, predictions):
        right_RS, predicted_RS, labelled_R1 = sizes(weights_RN, own_N, own_SN, is_by_chance)
        size_RS = predicted_RS + labelled_R1
        total = total + quotient(2 * right_RS, size_RS)
        number = number + (size_RS > 0 if labels.ndim == 1 else 1.0)
    return quotient(total, number)


def f1_weighted(
    weights_RN: Floats, labels: Values, predictions: Values, is_by_chance: bool = False
) -> Floats:
    """Return the mean F1 in which a class weighs as often as it is labelled; 0 for no labels.

    `is_by_chance`: the mean of that over all permutations of the predictions.
    """
    total = np.zeros((len(weights_RN), len(predictions)))
    weight_R1 = np.zeros((len(weights_RN), 1))
    for own_N, own_SN in one_by_one(labels, predictions):
        right_RS, predicted_RS, labelled_R1 = sizes(weights_RN, own_N, own_SN, is_by_chance)
        total = total + labelled_R1 * quotient(2 * right_RS, predicted_RS + labelled_R1)
        weight_R1 = weight_R1 + labelled_R1
    return quotient(total, np.broadcast_to(weight_R1, total.shape))


def f1_micro(weights_RN: Floats, labels_NC: Values, predictions_SNC: Values) -> Floats:
    """Return the F1 of all labels of all examples counted together."""
    right_RS = weights_RN @ ((labels_NC == 1) & (predictions_SNC == 1)).sum(axis=2).T
    size_RS = weights_RN @ (labels_NC.sum(axis=1) + predictions_SNC.sum(axis=2)).T
    return quotient(2.0 * right_RS, size_RS)


def subset_accuracy(weights_RN: Floats, labels_NC: Values, predictions_SNC: Values) -> Floats:
    """Return the share of examples whose labels are all correct."""
    right_RS = count(weights_RN, (predictions_SNC == labels_NC).all(axis=2))
    shares_RS: Floats = right_RS / weights_RN.sum(axis=1, keepdims=True)
    return shares_RS


def matthews_correlation(weights_RN: Floats, labels_N: Values, predictions_SN: Values) -> Floats:
    """Return Matthews' correlation (Gorodkin 2004) of any number of classes.

    It is 0 where a side is constant. With totals n, right answers c, and counts t_k and p_k of the
    classes: (c n - sum t_k p_k) / sqrt((n^2 - sum p_k^2)(n^2 - sum t_k^2)).
    """
    total_R1 = weights_RN.sum(axis=1, keepdims=True)
    right_RS = count(weights_RN, predictions_SN == labels_N)
    covariance_RS = right_RS * total_R1
    predicted_RS = np.broadcast_to(total_R1**2, right_RS.shape)
    labelled_R1 = total_R1**2
    for label in np.union1d(labels_N, predictions_SN):
        predictions_RS = count(weights_RN, predictions_SN == label)
        labels_R1 = count(weights_RN, (labels_N == label)[None])
        covariance_RS = covariance_RS - predictions_RS * labels_R1
        predicted_RS = predicted_RS - predictions_RS**2
        labelled_R1 = labelled_R1 - labels_R1**2
    return quotient(covariance_RS, np.sqrt(predicted_RS * labelled_R1))


def one_by_one(labels: Values, predictions: Values) -> Iterator[tuple[Flags, Flags]]:
    """Yield the examples that have each class, or each label: as labelled [N], as predicted [S,
    N]."""
    if labels.ndim == 2:
        for place in range(labels.shape[1]):
            yield labels[:, place] == 1, predictions[:, :, place] == 1
    else:
        for label in np.union1d(labels, predictions):
            yield labels == label, predictions == label


def sizes(
    weights_RN: Floats, own_N: Flags, own_SN: Flags, is_by_chance: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Return how often a class is right [R, S], predicted [R, S] and labelled [R, 1].

    `is_by_chance`: how often it is right in the mean over all permutations of the predictions,
    which leave the other two as they are.
    """
    predicted_RS = count(weights_RN, own_SN)
    labelled_R1 = count(weights_RN, own_N[None])
    if is_by_chance:
        right_RS = predicted_RS * labelled_R1 / weights_RN.sum(axis=1, keepdims=True)
    else:
        right_RS = count(weights_RN, own_SN & own_N)
    return right_RS, predicted_RS, labelled_R1
