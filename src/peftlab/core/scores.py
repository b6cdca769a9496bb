"""What a metric's name says of its scores: which of two is the better one, and their unit.

The name stands beside every stored score, so that records can be read and shown without the metrics
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

LOSSES = frozenset({"log_loss", "brier", "calibration_error"})
"""The metrics of which less is better."""
IN_NATS = frozenset({"log_loss"})
"""The metrics that are not shown in points."""
Unit = Literal["points", "nats"]
MORE_DIGITS = 2
"""Points are hundredths; what is not in points is shown with so many digits more."""


def greater_is_better(metric: str) -> bool:
    """Return whether the greater of two scores by that metric is the better one."""
    return metric not in LOSSES


def sign_of(metric: str) -> int:
    """Return what a score is multiplied by so that the greater one is better: 1, or -1 of a loss.

    >>> sign_of("accuracy"), sign_of("log_loss")
    (1, -1)
    """
    return 1 if greater_is_better(metric) else -1


def main_merit(scores: Mapping[str, float]) -> float:
    """Return the score by the main metric, the first of them, with the sign that makes more better.

    >>> main_merit({"brier": 20.0, "accuracy": 70.0})
    -20.0
    """
    metric, score = next(iter(scores.items()))
    return sign_of(metric) * score


def unit_of(metric: str) -> Unit:
    """Return the unit of the metric's scores."""
    return "nats" if metric in IN_NATS else "points"


def score_words(metric: str, score: float, digits: int) -> str:
    """Return a score with as many digits as show as much of it as `digits` do of points.

    >>> score_words("accuracy", 91.26, 1), score_words("log_loss", 0.26134, 1)
    ('91.3', '0.261')
    """
    shown = digits if unit_of(metric) == "points" else digits + MORE_DIGITS
    return f"{score:.{shown}f}"
