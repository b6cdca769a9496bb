"""The facts about scores by their names: which of two is better, and their unit.

They are those of the metric's entry. A user's own metric is in points, more being better, which is
known without running its code (metrics/own.py). Raises UnknownNameError for a metric that does not
exist.
"""

from __future__ import annotations

from collections.abc import Mapping

from peftlab.core.scores import metric_of
from peftlab.tasks.metrics.metric import POINTS
from peftlab.tasks.metrics.own import is_own
from peftlab.tasks.metrics.registry import METRICS

MORE_DIGITS = 2
"""The further digits of scores that are not in points, which are hundredths."""


def greater_is_better(score: str) -> bool:
    """Return whether the greater of two scores of that name is the better one."""
    metric = metric_of(score)
    return is_own(metric) or METRICS.get(metric).greater_is_better


def sign_of(score: str) -> int:
    """Return the sign that makes the greater of two scores the better one: 1, or -1 of a loss.

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


def unit_of(score: str) -> str:
    """Return the unit of a score of that name."""
    metric = metric_of(score)
    return POINTS if is_own(metric) else METRICS.get(metric).unit


def score_words(score: str, value: float, digits: int) -> str:
    """Return a score with the precision that `digits` give to points.

    >>> score_words("accuracy", 91.26, 1), score_words("log_loss", 0.26134, 1)
    ('91.3', '0.261')
    """
    return value_words(value, unit_of(score), digits)


def value_words(value: float, unit: str, digits: int) -> str:
    """Return a score in that unit with the precision that `digits` give to points."""
    return f"{value:.{digits if unit == POINTS else digits + MORE_DIGITS}f}"


def scores_words(scores: Mapping[str, float]) -> str:
    """Return scores with their names, to one digit of a point.

    >>> scores_words({"accuracy": 91.26, "log_loss": 0.26134})
    'accuracy 91.3, log_loss 0.261'
    """
    return ", ".join(f"{name} {score_words(name, value, 1)}" for name, value in scores.items())
