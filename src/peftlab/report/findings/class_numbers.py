"""Precision, recall and F1 of each class, from the answers of an arm's runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peftlab.stats.outcomes import Outcomes
from peftlab.tasks.metrics.registry import METRICS

ANSWERS = "f1_macro"
"""The metric for which predictions are read as answers, for one label or several."""


@dataclass(frozen=True, kw_only=True)
class ClassNumbers:
    """The scores of an arm on one class, in points, as means over its seeds.

    `support` is the number of scored examples of the class.
    """

    precision: float
    recall: float
    f1: float
    support: int


def class_numbers(outcomes: Outcomes, num_classes: int) -> tuple[ClassNumbers, ...]:
    """Return the numbers for each class, in the order of the logits."""
    return tuple(_numbers(as_question(outcomes, label_index)) for label_index in range(num_classes))


def as_question(outcomes: Outcomes, label_index: int) -> Outcomes:
    """Return the outcomes as answers to whether an example has the class at `label_index`."""
    is_own = [
        values[..., label_index] == 1 if outcomes.labels_N.ndim == 2 else values == label_index
        for values in (outcomes.labels_N, outcomes.predictions_SN)
    ]
    labels_N, predictions_SN = (one.astype(np.int64) for one in is_own)
    return Outcomes(
        metric="f1",
        labels_N=labels_N,
        predictions_SN=predictions_SN,
        seeds=outcomes.seeds,
        folds=outcomes.folds,
    )


def _numbers(own: Outcomes) -> ClassNumbers:
    precision, recall = (
        float(METRICS.get(metric).scores(own.labels_N, own.predictions_SN).mean())
        for metric in ("precision", "recall")
    )
    return ClassNumbers(
        precision=precision,
        recall=recall,
        f1=float(own.scores_S.mean()),
        support=int(own.labels_N.sum()),
    )
