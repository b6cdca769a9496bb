"""Metrics of the examples' order by a class's probability: ROC AUC, average precision.

Of two classes it is that of class 1; of more, or of several labels an example, the mean over the
classes, each against the rest. A class for which the value is undefined on these examples is left
out of the mean: for ROC AUC one that none or all of them have, for average precision one that none
has. Where no class is left the value is that of an order by chance: 0.5, and 0 for average
precision. Examples of equal probability are tied, as scikit-learn has it.

Dimensions: R weightings, N examples, S seeds, C classes, G groups of tied examples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from peftlab.tasks.metrics.weights import quotient
from peftlab.tasks.problem import Floats, Logits, Values, probabilities, problem_type_of

CHANCE = 0.5
"""The ROC AUC of a random order."""
Ranked = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""(weights of those that have the class, of the rest, both [R, G], the most probable first) ->
(the value [R], and the numbers [R] of which one is 0 where it is undefined)."""


def roc_auc(weights_RN: Floats, labels: Values, logits_SNC: Logits) -> Floats:
    """Return the area under the ROC curve: how often an example of the class is above another."""
    return _mean_over_classes(weights_RN, labels, logits_SNC, _area, CHANCE)


def average_precision(weights_RN: Floats, labels: Values, logits_SNC: Logits) -> Floats:
    """Return the sum of (recall_g - recall_(g-1)) precision_g over thresholds g, not interpolated.

    A threshold lies below each group of tied examples.
    """
    return _mean_over_classes(weights_RN, labels, logits_SNC, _precision, 0.0)


def average_precision_by_chance(weights_RN: Floats, labels: Values, logits_SNC: Logits) -> Floats:
    """Return the mean average precision over all permutations of the predictions.

    It is above the share of the class: the more, the fewer examples there are.
    """
    return _mean_over_classes(weights_RN, labels, logits_SNC, _precision_by_chance, 0.0)


def _mean_over_classes(
    weights_RN: Floats, labels: Values, logits_SNC: Logits, value: Ranked, otherwise: float
) -> Floats:
    """Return the mean [R, S] over the classes in which it is defined; `otherwise` for none."""
    kind = problem_type_of(labels)
    num_classes = logits_SNC.shape[2]
    is_binary = kind == "single_label_classification" and num_classes == 2
    scores_RS = np.empty((len(weights_RN), len(logits_SNC)))
    for seed, logits_NC in enumerate(logits_SNC):
        shares_NC = probabilities(logits_NC, kind)
        total_R = number_R = np.zeros(len(weights_RN))
        for place in (1,) if is_binary else range(num_classes):
            has_N = labels[:, place] == 1 if labels.ndim == 2 else labels == place
            groups = _groups(weights_RN, has_N.astype(np.float64), shares_NC[:, place])
            value_R, known_R = value(*groups)
            total_R = total_R + np.where(known_R > 0, value_R, 0.0)
            number_R = number_R + (known_R > 0)
        scores_RS[:, seed] = np.where(number_R > 0, quotient(total_R, number_R), otherwise)
    return scores_RS


def _groups(weights_RN: Floats, has_N: Floats, shares_N: Floats) -> tuple[Floats, Floats]:
    """Return the weights [R, G] of the examples with the class, and of the rest, at each
    probability."""
    order_N = np.argsort(-shares_N, kind="stable")
    starts_G = np.flatnonzero(np.diff(shares_N[order_N], prepend=np.inf))
    sorted_RN = weights_RN[:, order_N]
    every_RG = np.add.reduceat(sorted_RN, starts_G, axis=1)
    with_RG = np.add.reduceat(sorted_RN * has_N[order_N], starts_G, axis=1)
    return with_RG, every_RG - with_RG


def _area(with_RG: Floats, rest_RG: Floats) -> tuple[Floats, Floats]:
    """Return the area, ties counted by half, and the number of pairs."""
    above_RG = with_RG.cumsum(axis=1) - with_RG / 2
    pairs_R = with_RG.sum(axis=1) * rest_RG.sum(axis=1)
    return quotient((rest_RG * above_RG).sum(axis=1), pairs_R), pairs_R


def _precision(with_RG: Floats, rest_RG: Floats) -> tuple[Floats, Floats]:
    """Return the average precision and the number of examples that have the class."""
    found_RG = with_RG.cumsum(axis=1)
    precision_RG = quotient(found_RG, found_RG + rest_RG.cumsum(axis=1))
    number_R = with_RG.sum(axis=1)
    return quotient((with_RG * precision_RG).sum(axis=1), number_R), number_R


def _precision_by_chance(with_RG: Floats, rest_RG: Floats) -> tuple[Floats, Floats]:
    """Return the mean average precision of these groups where labels are dealt out at random.

    Of N examples n have the class. An example above threshold g is one of them with probability
    n / N, and two of them both are with n (n - 1) / (N (N - 1)), so that a group of m examples,
    M being at or above its threshold, adds (m / M) (1 + (M - 1) (n - 1) / (N - 1)) / N.
    """
    sizes_RG = with_RG + rest_RG
    above_RG = sizes_RG.cumsum(axis=1)
    number_R = with_RG.sum(axis=1)
    num_R1 = above_RG[:, -1:]
    others_RG = (above_RG - 1) * (number_R[:, None] - 1) / np.maximum(num_R1 - 1, 1)
    value_R = (quotient(sizes_RG, above_RG) * (1 + others_RG) / num_R1).sum(axis=1)
    return value_R, number_R
