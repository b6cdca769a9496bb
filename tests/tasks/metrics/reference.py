"""The metrics as scikit-learn and scipy compute them: the slow twins of ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from peftlab.tasks.problem import probabilities, problem_type_of

Arrays = Any


def _of_answers(measure: Callable[..., float], average: str) -> Callable[[Arrays, Arrays], float]:
    return lambda labels, predicted: measure(labels, predicted, average=average, zero_division=0.0)


def _roc_auc(labels: Arrays, logits: Arrays) -> float:
    shares, has = _shares(logits, labels), _indicators(labels, logits.shape[1])
    columns = [1] if labels.ndim == 1 and logits.shape[1] == 2 else range(logits.shape[1])
    known = [own for own in columns if 0 < has[:, own].mean() < 1]
    values = [roc_auc_score(has[:, own], shares[:, own]) for own in known]
    return float(np.mean(values)) if values else 0.5


def _average_precision(labels: Arrays, logits: Arrays) -> float:
    shares, has = _shares(logits, labels), _indicators(labels, logits.shape[1])
    columns = [1] if labels.ndim == 1 and logits.shape[1] == 2 else range(logits.shape[1])
    known = [own for own in columns if has[:, own].any()]
    values = [average_precision_score(has[:, own], shares[:, own]) for own in known]
    return float(np.mean(values)) if values else 0.0


def _log_loss(labels: Arrays, logits: Arrays) -> float:
    shares = _shares(logits, labels)
    if labels.ndim == 1:
        return log_loss(labels, shares, labels=range(logits.shape[1]))
    return float(
        np.mean(
            [
                log_loss(labels[:, own], shares[:, own], labels=[0, 1])
                for own in range(labels.shape[1])
            ]
        )
    )


def _brier(labels: Arrays, logits: Arrays) -> float:
    shares = _shares(logits, labels)
    if labels.ndim == 1:
        every = range(logits.shape[1])
        own = shares[:, 1] if logits.shape[1] == 2 else shares
        return brier_score_loss(labels, own, labels=every, scale_by_half=True)
    return float(
        np.mean(
            [
                brier_score_loss(labels[:, own], shares[:, own], labels=[0, 1])
                for own in range(labels.shape[1])
            ]
        )
    )


def _calibration_error(labels: Arrays, logits: Arrays) -> float:
    """Return the calibration error bin by bin, as in Guo et al. 2017; scikit-learn has none."""
    shares = _shares(logits, labels)
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    total = 0.0
    for place in range(15):
        within = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if within.any():
            total += within.sum() * abs(right[within].mean() - confidence[within].mean())
    return total / len(labels)


def _balanced_accuracy(labels: Arrays, predicted: Arrays) -> float:
    with warnings.catch_warnings():
        # Classes that are predicted and that no example has are left out, and remarked upon.
        warnings.simplefilter("ignore", UserWarning)
        return balanced_accuracy_score(labels, predicted)


def _shares(logits: Arrays, labels: Arrays) -> Arrays:
    return probabilities(logits, problem_type_of(labels))


def _indicators(labels: Arrays, num_classes: int) -> Arrays:
    return labels if labels.ndim == 2 else np.eye(num_classes, dtype=int)[labels]


def _where_both_vary(
    measure: Callable[[Arrays, Arrays], float],
) -> Callable[[Arrays, Arrays], float]:
    """Return the correlation of the two sides; by convention it is 0 if either is constant."""
    return lambda labels, predicted: (
        0.0 if np.ptp(labels) == 0 or np.ptp(predicted) == 0 else measure(labels, predicted)
    )


_BY_NAME: dict[str, Callable[[Arrays, Arrays], float]] = {
    "accuracy": accuracy_score,
    "f1": _of_answers(f1_score, "binary"),
    "f1_macro": _of_answers(f1_score, "macro"),
    "f1_weighted": _of_answers(f1_score, "weighted"),
    "f1_micro": _of_answers(f1_score, "micro"),
    "subset_accuracy": accuracy_score,
    "matthews_correlation": _where_both_vary(matthews_corrcoef),
    "precision": _of_answers(precision_score, "binary"),
    "recall": _of_answers(recall_score, "binary"),
    "precision_macro": _of_answers(precision_score, "macro"),
    "recall_macro": _of_answers(recall_score, "macro"),
    "balanced_accuracy": _balanced_accuracy,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "calibration_error": _calibration_error,
    "pearson": _where_both_vary(lambda labels, predicted: pearsonr(labels, predicted).statistic),
    "spearman": _where_both_vary(lambda labels, predicted: spearmanr(labels, predicted).statistic),
}
NAMES = tuple(_BY_NAME)


def reference(metric: str, labels: Arrays, predicted: Arrays) -> float:
    """Return the score in points, a log loss in nats."""
    scale = 1 if metric == "log_loss" else 100
    return scale * float(_BY_NAME[metric](labels, predicted))
