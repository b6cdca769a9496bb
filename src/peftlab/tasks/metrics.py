"""Scores of predictions, in points (91.3, not 0.913)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError
from peftlab.core.inputs import ProblemType
from peftlab.core.registry import Registry
from peftlab.core.words import counted
from peftlab.tasks.problem import Values, answers
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`measure` is (predictions, labels) -> score, at best 1, of the kinds of problem that it is
    for; `is_binary` where it is of two classes alone."""

    measure: Callable[[Values, Values], float]
    kinds: tuple[ProblemType, ...]
    is_binary: bool = False

    def fits(self, problem_type: ProblemType, num_labels: int) -> bool:
        """Whether it can score a problem of that kind."""
        return problem_type in self.kinds and (not self.is_binary or num_labels == 2)


METRICS = Registry[Metric]("metric")
DEFAULTS: dict[ProblemType, tuple[str, ...]] = {
    "single_label_classification": ("accuracy", "f1_macro"),
    "multi_label_classification": ("f1_micro", "f1_macro", "subset_accuracy"),
    "regression": ("pearson", "spearman"),
}
"""Of a person's own task that names none."""


def score(task: Task, logits: npt.NDArray[np.float32], labels: Values) -> dict[str, float]:
    """The task's metrics in points, its main one first, of logits [N, C] (tasks/problem.py)."""
    predicted = answers(logits, task.problem_type)
    return {name: 100 * METRICS.get(name).measure(predicted, labels) for name in task.metrics}


def require_metrics(
    names: tuple[str, ...], problem_type: ProblemType, num_labels: int, *, where: str
) -> None:
    """UserError for a metric that does not exist, or is of another kind of problem."""
    for name in names:
        if not METRICS.get(name, where=where).fits(problem_type, num_labels):
            every = {own: METRICS.get(own) for own in METRICS.names()}
            raise UserError(
                f"the metric '{name}' is not for {problem_type} with "
                f"{counted(num_labels, 'label')}",
                where=where,
                allowed=", ".join(
                    own for own, one in every.items() if one.fits(problem_type, num_labels)
                ),
            )


def accuracy(predicted: Values, labels: Values) -> float:
    """The share of predictions that are right."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predicted))


def f1(predicted: Values, labels: Values) -> float:
    """F1 of class 1 of two; 0 where neither predictions nor labels hold it."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, zero_division=0.0))


def f1_macro(predicted: Values, labels: Values) -> float:
    """The mean F1 of the classes that either side holds, or of all labels; 0 of an empty one."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="macro", zero_division=0.0))


def f1_weighted(predicted: Values, labels: Values) -> float:
    """The same mean, each weighing as often as it is labelled; 0 where nothing is labelled."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="weighted", zero_division=0.0))


def f1_micro(predicted: Values, labels: Values) -> float:
    """F1 of all labels of all examples counted together."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="micro", zero_division=0.0))


def subset_accuracy(predicted: Values, labels: Values) -> float:
    """The share of examples whose labels are all right."""
    return float((predicted == labels).all(axis=1).mean())


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


_CLASSES: tuple[ProblemType, ...] = ("single_label_classification",)
_SEVERAL: tuple[ProblemType, ...] = ("multi_label_classification",)
_SCORES: tuple[ProblemType, ...] = ("regression",)
for _measure, _kinds in (
    (accuracy, _CLASSES),
    (f1, _CLASSES),
    (f1_macro, _CLASSES + _SEVERAL),
    (f1_weighted, _CLASSES + _SEVERAL),
    (f1_micro, _SEVERAL),
    (subset_accuracy, _SEVERAL),
    (matthews_correlation, _CLASSES),
    (pearson, _SCORES),
    (spearman, _SCORES),
):
    METRICS.add(_measure.__name__, Metric(measure=_measure, kinds=_kinds, is_binary=_measure is f1))
