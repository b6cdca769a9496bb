"""The names of scores: a metric, and where it is not the trial's own split the task it is on."""

from __future__ import annotations

ON = "_on_"
"""The part of a score's name before the other task on whose dev split it was measured."""


def score_on(metric: str, task: str) -> str:
    """Return the name of a metric's score on the dev split of another task.

    >>> score_on("accuracy", "mnli-mm"), metric_of("accuracy_on_mnli-mm"), metric_of("f1")
    ('accuracy_on_mnli-mm', 'accuracy', 'f1')
    """
    return f"{metric}{ON}{task}"


def metric_of(score: str) -> str:
    """Return the metric of a score by its name, whatever split it was measured on."""
    return score.partition(ON)[0]
