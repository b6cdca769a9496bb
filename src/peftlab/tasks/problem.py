"""The kinds of labelled text problem, under transformers' names, and how each reads logits.

Labels tell the kind: int64 [N] are classes, float64 [N] scores, int64 [N, C] say of each of C
labels whether the example has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from peftlab.core.inputs import ProblemType

Values = npt.NDArray[np.int64 | np.float64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Logits = npt.NDArray[np.float32]
Predicted = npt.NDArray[Any]
"""The part of a prediction that a metric reads: its answer in the form of the label, or its logits
[C]."""


def problem_type_of(labels: Values) -> ProblemType:
    """Return the kind of problem with such labels."""
    if labels.ndim == 2:
        return "multi_label_classification"
    return "regression" if labels.dtype.kind == "f" else "single_label_classification"


def answers(logits: Logits, problem_type: ProblemType) -> Values:
    """Return the answers that logits [N, C] give, in the form of the labels.

    An answer is the class of the largest logit (the first of equal ones), each label whose logit is
    above 0 (probability above one half), or, of one column, the score itself.
    """
    if problem_type == "regression":
        scores: Floats = logits[:, 0].astype(np.float64)
        return scores
    if problem_type == "multi_label_classification":
        return (logits > 0).astype(np.int64)
    classes: npt.NDArray[np.int64] = logits.argmax(axis=1).astype(np.int64)
    return classes


def probabilities(logits: Logits, problem_type: ProblemType) -> Floats:
    """Return the probabilities [N, C] of the labels.

    They are a softmax, or each stands by itself where there may be several labels. Raises
    ValueError for a regression, which has none.
    """
    values = logits.astype(np.float64)
    if problem_type == "single_label_classification":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if problem_type == "multi_label_classification":
        return np.asarray(0.5 * (1 + np.tanh(values / 2)))
    raise ValueError("a regression has no probabilities")


def made_up_rows(problem_type: ProblemType, num_labels: int) -> tuple[Logits, Values]:
    """Return logits [N, C] and labels of a few rows, the same ones at every call.

    Each class, or each label with and without, is there four times; most answers are right.
    """
    generator = np.random.default_rng(0)
    if problem_type == "regression":
        scores_N = np.linspace(0.0, 1.0, 8)
        noise_N = generator.normal(scale=0.1, size=8)
        return (scores_N + noise_N)[:, None].astype(np.float32), scores_N
    if problem_type == "multi_label_classification":
        half_NC = generator.integers(0, 2, size=(4, num_labels))
        labels_NC = np.concatenate([half_NC, 1 - half_NC])
        noise_NC = generator.normal(size=labels_NC.shape)
        return (4.0 * labels_NC - 2.0 + noise_NC).astype(np.float32), labels_NC
    classes_N = np.tile(np.arange(num_labels), 4)
    noise_NC = generator.normal(size=(len(classes_N), num_labels))
    return (2.0 * np.eye(num_labels)[classes_N] + noise_NC).astype(np.float32), classes_N
