"""New text classified by trained trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peftlab.engine.predict import Predictor
from peftlab.store.records import TrialRecord
from peftlab.tasks.problem import Logits, answers, probabilities
from peftlab.tasks.registry import task_of
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer of a trial for a row.

    `value` is the number of the class, of several labels 0 or 1 for each, of a regression the
    score. `labels` are the names of those that hold, and `probabilities` those of all labels, which
    sum to 1 where one holds; a regression has neither.
    """

    value: int | float | tuple[int, ...]
    labels: tuple[str, ...]
    probabilities: Mapping[str, float]

    @property
    def label(self) -> str:
        """The name of the label that holds; several are separated by commas, and there may be
        none."""
        return ", ".join(self.labels)


def predict_texts(
    record: TrialRecord,
    rows: Sequence[tuple[str, ...]],
    *,
    device: str = "auto",
    predictor: Predictor | None = None,
) -> list[Prediction]:
    """Return the trial's predictions for rows of one or two texts, in their order.

    Probabilities are the softmax of the logits, or of several labels the sigmoid of each; they are
    not calibrated. A `predictor` that is
    given keeps the trial in memory. Raises UserError where the trial has no saved model or a row
    has the wrong number of texts.
    """
    if not rows:
        return []
    logits = (predictor or Predictor(device=device)).logits(record, rows)
    return predictions_from(task_of(record.trial), logits)


def predictions_from(task: Task, logits: Logits) -> list[Prediction]:
    """Return the predictions that logits [N, C] give, in the task's words (tasks/problem.py)."""
    values = answers(logits, task.problem_type).tolist()
    if task.problem_type == "regression":
        return [Prediction(value=value, labels=(), probabilities={}) for value in values]
    found = []
    for value, shares in zip(values, probabilities(logits, task.problem_type), strict=True):
        holding = np.flatnonzero(value) if isinstance(value, list) else [value]
        found.append(
            Prediction(
                value=tuple(value) if isinstance(value, list) else value,
                labels=tuple(task.labels[number] for number in holding),
                probabilities=dict(zip(task.labels, shares.tolist(), strict=True)),
            )
        )
    return found
