"""The rows of train that a trial trains on, holds out, and is scored on.

All that takes rows from a trial is here, one after another: the fold that it is scored on, then
those that are beyond its `train_size`, then of the rest those that its selection holds out. The
parts follow from the labels, the trial's seed and the folds, so that all arms have the same. The
rows of a smaller `train_size` are among those of a larger one with the same seed and fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peftlab.core.identity import derived_seed
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices
from peftlab.data.folds import Folds
from peftlab.data.held_out import is_held_out
from peftlab.data.limited import drawn_rows
from peftlab.tasks.problem import Values


@dataclass(frozen=True, kw_only=True)
class TrainParts:
    """The places in train, each ascending; `held_out` and `scored` are None if there are none.

    Without `scored` rows the trial is scored on dev.
    """

    trained: Indices
    held_out: Indices | None = None
    scored: Indices | None = None


def train_parts(trial: Trial, labels: Values, folds: Folds | None = None) -> TrainParts:
    """Return the parts of train, whose rows have these labels and, with folds, these parts."""
    trained: Indices = np.arange(len(labels), dtype=np.int64)
    held_out = scored = None
    if folds is not None and trial.fold is not None:
        is_scored = folds == trial.fold.number
        trained, scored = np.flatnonzero(~is_scored), np.flatnonzero(is_scored)
    if trial.train_size is not None:
        of_fold = () if trial.fold is None else (trial.fold.number,)
        seed = derived_seed(trial.seed, "train-size", *of_fold)
        trained = trained[drawn_rows(labels[trained], trial.train_size, seed=seed)]
    if trial.selection is not None:
        chosen = is_held_out(labels[trained], trial.selection, seed=trial.seed)
        trained, held_out = trained[~chosen], trained[chosen]
    return TrainParts(trained=trained, held_out=held_out, scored=scored)
