"""Scores of predictions, in points (91.3, not 0.913)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from peftlab.core.registry import Registry
from peftlab.tasks.problem import Values, answers
from peftlab.tasks.spec import Task

Metric = Callable[[Values, Values], float]
"""(predictions [N], labels [N]) -> score, at best 1."""

METRICS = Registry[Metric]("metric")


def score(task: Task, logits: npt.NDArray[np.float32], labels: Values) -> dict[str, float]:
    """The task's metrics in points, its main one first, of logits [N, C] (tasks/problem.py)."""
    predicted = answers(logits, task.problem_type)
    return {name: 100 * METRICS.get(name)(predicted, labels) for name in task.metrics}


def accuracy(predicted: Values, labels: Values) -> float:
    """The share of predictions that are right."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predicted))


def f1(predicted: Values, labels: Values) -> float:
    """F1 of class 1 of two; 0 where neither predictions nor labels hold it."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, zero_division=0.0))


def matthews_correlation(predicted: Values, labels: Values) -> float:
    """Matthews' correlation; 0 where predictions or labels are all of one class."""
    from sklearn.metrics import matthews_corrcoef

    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(matthews_corrcoef(labels, predicted))


def pearson(predicted: Values, labels: Values) -> float:
    """Pearson's correlation; 0 where either side is constant."""
    from scipy.stats import pearsonr

    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(pearsonr(predicted, labels).statistic)


def spearman(predicted: Values, labels: Values) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where either side is constant."""
    from scipy.stats import spearmanr

    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(spearmanr(predicted, labels).statistic)


for _metric in (accuracy, f1, matthews_correlation, pearson, spearman):
    METRICS.add(_metric.__name__, _metric)
