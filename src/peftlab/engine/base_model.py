"""A trial's model before its method is put on it: the same for training, predicting and export."""

from __future__ import annotations

from transformers import PreTrainedModel

from peftlab.core.identity import derived_seed
from peftlab.core.types import Trial
from peftlab.models.checkpoints import load_model
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
