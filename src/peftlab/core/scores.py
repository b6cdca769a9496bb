"""The facts in a metric's name about its scores: which of two is better, and their unit.

The name stands beside every stored score, so that records can be read and shown without the metrics
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

LOSSES = frozenset({"log_loss", "brier", "calibration_error"})
"""The metrics of which lower is better."""
IN_NATS = frozenset({"log_loss"})
"""The metrics that are not shown in points."""
Unit = Literal["points", "nats"]
ON = "_on_"
"""The part of a score's name before the other task on whose dev split it was measured."""
MORE_DIGITS = 2
"""The further digits of scores that are not in points, which are hundredths."""


def score_on(metric: str, task: str) -> str:
    """Return the name of a metric's score on the dev split of another task.

    >>> score_on("accuracy", "mnli-mm"), metric_of("accuracy_on_mnli-mm"), metric_of("f1")
    ('accuracy_on_mnli-mm', 'accuracy', 'f1')
    """
    return f"{metric}{ON}{task}"


def metric_of(score: str) -> str:
    """Return the metric of a score by its name, whatever split it was measured on."""
    return score.partition(ON)[0]


def greater_is_better(score: str) -> bool:
    """Return whether the greater of two scores of that name is the better one."""
    return metric_of(score) not in LOSSES


def sign_of(score: str) -> int:
    """Return the factor by which the greater score is the better one: 1, or -1 for a loss.

    >>> sign_of("accuracy"), sign_of("log_loss")
    (1, -1)
    """
    return 1 if greater_is_better(score) else -1


def main_merit(scores: Mapping[str, float]) -> float:
    """Return the score by the main metric, the first of them, with the sign that makes more better.

    >>> main_merit({"brier": 20.0, "accuracy": 70.0})
    -20.0
    """
    name, value = next(iter(scores.items()))
    return sign_of(name) * value


def unit_of(score: str) -> Unit:
    """Return the unit of a score of that name."""
    return "nats" if metric_of(score) in IN_NATS else "points"


def score_words(score: str, value: float, digits: int) -> str:
    """Return a score with the precision that `digits` give to points.

    >>> score_words("accuracy", 91.26, 1), score_words("log_loss", 0.26134, 1)
    ('91.3', '0.261')
    """
    shown = digits if unit_of(score) == "points" else digits + MORE_DIGITS
    return f"{value:.{shown}f}"


def scores_words(scores: Mapping[str, float]) -> str:
    """Return scores with their names, to one digit of a point.

    >>> scores_words({"accuracy": 91.26, "log_loss": 0.26134})
    'accuracy 91.3, log_loss 0.261'
    """
    return ", ".join(f"{name} {score_words(name, value, 1)}" for name, value in scores.items())
