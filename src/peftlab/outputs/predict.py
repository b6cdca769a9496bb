"""New text classified by a trained trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peftlab.engine.predict import predict_rows
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import TASKS


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The label that a trial gives a row, and the probability of every label (they sum to 1)."""

    label: str
    probabilities: Mapping[str, float]


def predict_texts(
    record: TrialRecord, rows: Sequence[tuple[str, ...]], *, device: str = "auto"
) -> list[Prediction]:
    """The trial's predictions for rows of one or two texts, in their order.

    Probabilities are the softmax of the logits; they are not calibrated. Raises UserError where
    the trial has no saved model or a row has the wrong number of texts.
    """
    if not rows:
        return []
    labels = TASKS.get(record.trial.task).labels
    probabilities = softmax(predict_rows(record, rows, device=device))
    return [
        Prediction(
            label=labels[int(row.argmax())],
            probabilities={label: float(value) for label, value in zip(labels, row, strict=True)},
        )
        for row in probabilities
    ]


def softmax(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Probabilities [N, C] in double precision.

    >>> softmax(np.zeros((1, 2), dtype=np.float32)).tolist()
    [[0.5, 0.5]]
    """
    shifted = logits.astype(np.float64)
    exponentials = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    result: np.ndarray[tuple[int, int], np.dtype[np.float64]] = exponentials / exponentials.sum(
        axis=1, keepdims=True
    )
    return result
