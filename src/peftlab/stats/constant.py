"""Constant answers, those that a model can give without reading, and what the best one scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peftlab.stats.weighted import WEIGHTED, Floats
from peftlab.tasks.problem import Values, problem_type_of

MOST_ANSWERS = 16
"""Classes that are tried, the commonest first. Of two classes both are; a metric of more classes
rises with how often the answer is right, so that the commonest one is the best."""
SAME = 1e-5
"""Scores of a regression that differ by no more than this share are the same, but for float32."""


@dataclass(frozen=True, kw_only=True)
class Constant:
    """One answer for all examples: a class, the flags [C] of several labels, or a number."""

    answer: Values
    score: float


def best_constant(metric: str, labels_N: Values) -> Constant:
    """Return the constant answer with the best score on these labels, the first of equal ones.

    It depends on the metric: of 30% positives the best one is "negative" by accuracy (70) and
    "positive" by F1 (46). A correlation of a constant is 0 by convention.

    >>> best_constant("f1", np.array([0, 0, 1])).score
    50.0
    """
    answers = _candidates(labels_N)
    scores_A = constant_scores(metric, labels_N, answers)
    place = int(scores_A.argmax())
    return Constant(answer=np.asarray(answers[place]), score=float(scores_A[place]))


def constant_scores(metric: str, labels_N: Values, answers_A: Values) -> Floats:
    """Return the score [A] of each constant answer, in points."""
    once_1N = np.ones((1, len(labels_N)))
    answers_AN = for_all(answers_A, len(labels_N))
    return WEIGHTED.get(metric)(once_1N, labels_N, answers_AN).reshape(-1)


def for_all(answers_A: Values, num_examples: int) -> Values:
    """Return predictions [A, N] (or [A, N, C]) that give each answer to all examples."""
    return np.repeat(answers_A[:, None], num_examples, axis=1)


def commonest(values_N: Values) -> Values:
    """Return the value that stands there most often; 0 for scores, which all rank alike."""
    if problem_type_of(values_N) == "regression":
        return np.zeros((), dtype=values_N.dtype)
    found, counts = np.unique(values_N, axis=0, return_counts=True)
    return np.asarray(found[counts.argmax()])


def is_constant(predictions_N: Values) -> bool:
    """Whether all examples got the same answer; scores of a regression to float32's precision."""
    if problem_type_of(predictions_N) == "regression":
        return bool(np.ptp(predictions_N) <= SAME * np.abs(predictions_N).max())
    return bool((predictions_N == predictions_N[0]).all())


def _candidates(labels_N: Values) -> Values:
    """Return constant answers [A, ...], one of which is the best by every metric."""
    kind = problem_type_of(labels_N)
    if kind == "regression":
        return np.zeros(1, dtype=labels_N.dtype)
    if kind == "single_label_classification":
        labels, counts = np.unique(labels_N, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_ANSWERS]
        found: Values = labels[order]
        return found
    return np.stack([commonest(labels_N), _most_f1_micro(labels_N), labels_N.max(axis=0)])


def _most_f1_micro(labels_NC: Values) -> npt.NDArray[np.int64]:
    """Return the flags [C] with the best F1 of all labels counted together.

    Of answers with k labels that with the k commonest is the best; the best k is found among
    all. Labels that some example has are the best answer by the other F1 scores, which are means
    over labels, and the commonest set of labels is by the share of sets that are right.
    """
    counts_C = labels_NC.sum(axis=0)
    order_C = np.argsort(-counts_C, kind="stable")
    right_C = 2 * counts_C[order_C].cumsum()
    sizes_C = len(labels_NC) * np.arange(1, len(order_C) + 1) + counts_C.sum()
    chosen = np.zeros(len(order_C), dtype=np.int64)
    chosen[order_C[: int((right_C / sizes_C).argmax()) + 1]] = 1
    return chosen
