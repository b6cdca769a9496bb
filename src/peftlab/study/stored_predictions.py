"""The predictions of a stored trial, after a check that they are its own.

A file of predictions lies in a folder that anybody can copy, swap or restore; the store knows the
file's SHA-256. Of a trial that was stored by an older version, which knows none, the predictions
must give the score that is stored.
"""

from __future__ import annotations

from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.identity import file_sha256
from peftlab.data.predictions import Answers, Predictions, read_answers, read_predictions
from peftlab.store.records import TrialRecord
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Values
from peftlab.tasks.registry import task_of

TOLERANCE = 1e-3
"""The points by which a recomputed score may differ, by rounding."""
REMEDY = "put the trial's own file back; or remove this one, and scores have no intervals"


def answers_of(record: TrialRecord) -> Answers | None:
    """Return the trial's answers on its dev split; None if there is no file.

    Raises UserError where the file is not that of the trial, or damaged.
    """
    path = record.predictions_path
    if path is None:
        return None
    found = read_answers(path)
    _require_own(record, path, found.predicted, found.labels)
    return found


def predictions_of(record: TrialRecord) -> Predictions | None:
    """Return the trial's answers with their logits, which takes several times as long."""
    path = record.predictions_path
    if path is None:
        return None
    found = read_predictions(path)
    _require_own(record, path, found.predicted, found.labels)
    return found


def _require_own(record: TrialRecord, path: Path, predicted: Values, labels: Values) -> None:
    """Raise UserError if these are recognisably not the predictions of the trial.

    Of a trial that has not ended the file may be of an epoch that is not stored yet.
    """
    if record.status != "done":
        return
    trial_id, known = record.trial.id, record.costs.predictions_sha256 if record.costs else None
    what = f"these are not the predictions of the trial {trial_id}"
    if known is not None:
        if file_sha256(path) != known:
            raise UserError(f"{what}: the file has changed", where=str(path), remedy=REMEDY)
        return
    metric = task_of(record.trial).main_metric
    stored = record.scores.get(metric)
    if stored is None or metric not in METRICS or METRICS.get(metric).reads != "answers":
        return
    found = METRICS.get(metric).scores(labels, predicted[None])[0]
    if not abs(found - stored) <= TOLERANCE:
        raise UserError(
            f"{what}: their {metric} is {found:.1f}, the stored one {stored:.1f}",
            where=str(path),
            remedy=REMEDY,
        )
