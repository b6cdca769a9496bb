"""A trial's model before its method is put on it: the same for training, predicting and export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transformers import PreTrainedModel

from peftlab.core.identity import derived_seed
from peftlab.core.trial import Trial
from peftlab.models.checkpoints import load_model
from peftlab.models.location import find_checkpoint
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import task_of


def base_model(trial: Trial) -> PreTrainedModel:
    """The trial's checkpoint with the head that the trial begins with.

    It is drawn by the trial's own seed, for what a method saves need not be the whole head.
    Raises UserError where the checkpoint cannot be loaded, or has no head that could be kept.
    """
    task = task_of(trial)
    return load_model(
        trial.model.name,
        num_labels=task.num_labels,
        seed=derived_seed(trial.seeds.init, "head"),
        keep=task.labels if trial.head == "keep" else None,
    )


def with_checkpoint(record: TrialRecord, places: Sequence[str] = ()) -> TrialRecord:
    """The record with its checkpoint under the name of where it lies now (models/location).

    Raises UserError where it is not to be found.
    """
    found = find_checkpoint(record.trial.model, places)
    if found.name == record.trial.model.name:
        return record
    return replace(record, trial=record.trial.model_copy(update={"model": found}))
