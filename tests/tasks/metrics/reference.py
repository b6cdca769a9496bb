"""The metrics as scikit-learn and scipy compute them: the slow twins of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

Arrays = Any


def _f1(average: str) -> Callable[[Arrays, Arrays], float]:
    return lambda labels, predicted: f1_score(labels, predicted, average=average, zero_division=0.0)


def _where_both_vary(
    measure: Callable[[Arrays, Arrays], float],
) -> Callable[[Arrays, Arrays], float]:
    """Correlate the two sides; by our convention it is 0 where one of them is constant."""
    return lambda labels, predicted: (
        0.0 if np.ptp(labels) == 0 or np.ptp(predicted) == 0 else measure(labels, predicted)
    )


_BY_NAME: dict[str, Callable[[Arrays, Arrays], float]] = {
    "accuracy": accuracy_score,
    "f1": _f1("binary"),
    "f1_macro": _f1("macro"),
    "f1_weighted": _f1("weighted"),
    "f1_micro": _f1("micro"),
    "subset_accuracy": accuracy_score,
    "matthews_correlation": _where_both_vary(matthews_corrcoef),
    "pearson": _where_both_vary(lambda labels, predicted: pearsonr(labels, predicted).statistic),
    "spearman": _where_both_vary(lambda labels, predicted: spearmanr(labels, predicted).statistic),
}
NAMES = tuple(_BY_NAME)


def reference(metric: str, labels: Arrays, predicted: Arrays) -> float:
    """Return the score in points."""
    return 100 * float(_BY_NAME[metric](labels, predicted))
