"""Constant answers, which a model can give without reading, and the score of the best one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Floats, Logits, Predicted, Values, problem_type_of
from peftlab.tasks.scores import sign_of

MOST_ANSWERS = 16
"""The number of classes that are tried, the most frequent first. Of two classes both are; a metric
of more classes
rises with how often the answer is right, so that the commonest one is the best."""
SAME = 1e-5
"""The relative difference up to which two numbers are equal in float32."""
LEAST_SHARE = 1e-9
"""The probability of a label that no example has, so that its logit is finite."""


@dataclass(frozen=True, kw_only=True)
class ConstantPrediction:
    """One prediction for all examples, and its score in the unit of the metric.

    `answer` is a class, the flags [C] of several labels, or a number; or the logits [C].
    """

    answer: Predicted
    score: float


def best_constant(metric: str, labels_N: Values, num_logits: int = 0) -> ConstantPrediction:
    """Return the constant prediction with the best score on these labels, the first one if tied.

    It depends on the metric: of 30% positives the best one is "negative" by accuracy (70) and
    "positive" by F1 (46). A correlation of a constant is 0 by convention. `num_logits` is the
    number of classes, for a metric that reads logits.

    >>> best_constant("f1", np.array([0, 0, 1])).score
    50.0
    """
    found = METRICS.get(metric)
    answers: Predicted = _answers(labels_N)
    if found.reads == "logits":
        answers = _logits(labels_N, answers, num_logits)
    scores_A = found.scores(labels_N, for_all(answers, len(labels_N)))
    index = int((sign_of(metric) * scores_A).argmax())
    return ConstantPrediction(answer=np.asarray(answers[index]), score=float(scores_A[index]))


def for_all(answers_A: Predicted, num_examples: int) -> Predicted:
    """Return predictions [A, N, ...] that give each answer [A, ...] to all examples."""
    shape = len(answers_A), num_examples, *answers_A.shape[1:]
    return np.broadcast_to(answers_A[:, None], shape)


def commonest(values_N: Values) -> Values:
    """Return the most frequent class or set of labels."""
    found, counts = np.unique(values_N, axis=0, return_counts=True)
    return np.asarray(found[counts.argmax()])


def is_constant(predictions_N: Predicted) -> bool:
    """Return whether all examples got the same prediction, to float32's precision."""
    if predictions_N.dtype.kind == "f":
        spread = np.ptp(predictions_N, axis=0)
        return bool((spread <= SAME * np.abs(predictions_N).max()).all())
    return bool((predictions_N == predictions_N[0]).all())


def _answers(labels_N: Values) -> Values:
    """Return constant answers [A, ...], among them the best one by any metric of answers.

    Of a regression they are 0 and the mean and the median of the labels, the best ones by the
    squared and by the absolute error.
    """
    kind = problem_type_of(labels_N)
    if kind == "regression":
        return np.array([0.0, labels_N.mean(), np.median(labels_N)])
    if kind == "single_label_classification":
        labels, counts = np.unique(labels_N, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_ANSWERS]
        found: Values = labels[order]
        return found
    return np.stack([commonest(labels_N), _most_f1_micro(labels_N), labels_N.max(axis=0)])


def _logits(labels_N: Values, answers_A: Values, num_logits: int) -> Logits:
    """Return constant logits [1 + A, C]: the labels' own shares, then each answer in turn.

    The shares are the best constant by every proper score of probabilities (log loss, Brier). For
    a regression they are the answers themselves.
    """
    kind = problem_type_of(labels_N)
    if kind == "regression":
        return answers_A[:, None].astype(np.float32)
    if kind == "single_label_classification":
        counts_C = np.bincount(labels_N.astype(np.int64), minlength=num_logits)
        prior_C: Floats = np.log(np.maximum(counts_C / len(labels_N), LEAST_SHARE))
        of_answers: Floats = np.eye(len(prior_C))[answers_A.astype(np.int64)]
    else:
        shares_C = np.clip(np.mean(labels_N, axis=0), LEAST_SHARE, 1 - LEAST_SHARE)
        prior_C = logit(shares_C)
        of_answers = 2 * answers_A.astype(np.float64) - 1
    return np.concatenate([prior_C[None], of_answers]).astype(np.float32)


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
