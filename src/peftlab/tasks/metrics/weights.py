"""Arithmetic on weighted examples, which every metric is made of.

Dimensions: R weightings, N examples, S seeds. A weight is how often an example is there, so that a
resample of the bootstrap is a row of counts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from peftlab.tasks.problem import Flags, Floats, Predicted, Values

NUM_PERMUTATIONS = 100
"""The permutations of a chance level; with 400 examples, mean macro F1 is off by 0.25 points."""


def once(num_examples: int) -> Floats:
    """Return the weighting [1, N] in which every example is there once."""
    return np.ones((1, num_examples))


def count(weights_RN: Floats, holds_SN: Flags) -> Floats:
    """Return the weight [R, S] of the examples for which something holds."""
    counts: Floats = weights_RN @ holds_SN.T.astype(np.float64)
    return counts


def mean(weights_RN: Floats, values_SN: Floats) -> Floats:
    """Return the weighted mean [R, S] of each seed's values."""
    means_RS: Floats = weights_RN @ values_SN.T / weights_RN.sum(axis=1, keepdims=True)
    return means_RS


def quotient(above: Floats, below: Floats) -> Floats:
    """Return above / below, or 0 where `below` is not positive."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def of_repeated_rows(
    measure: Callable[[Predicted, Values], float],
    weights_RN: Floats,
    labels_N: Values,
    predictions_SN: Predicted,
) -> Floats:
    """Return the values [R, S] of `measure` on examples repeated as often as they weigh."""
    values_RS = np.empty((len(weights_RN), len(predictions_SN)))
    for row, weights_N in enumerate(weights_RN):
        drawn = np.repeat(np.arange(len(labels_N)), weights_N.astype(np.int64))
        for seed, own in enumerate(predictions_SN):
            values_RS[row, seed] = measure(own[drawn], labels_N[drawn])
    return values_RS


def mean_over_permutations(
    scores: Callable[[Values, Predicted], Floats], labels_N: Values, predictions_SN: Predicted
) -> Floats:
    """Return each seed's mean score [S] over permutations of its predictions.

    There are NUM_PERMUTATIONS of them, the same ones at every call.
    """
    generator = np.random.default_rng(0)
    orders = (generator.permutation(len(labels_N)) for _ in range(NUM_PERMUTATIONS))
    every = [scores(labels_N, predictions_SN[:, order_N]) for order_N in orders]
    return np.asarray(np.mean(every, axis=0))
