"""The tokens of the rows that a trial trains on and is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peftlab.core.trial import Trial
from peftlab.data.batches import epoch_order, padded_tokens
from peftlab.data.encode import Encoded, Tokenizer
from peftlab.data.source import open_ref
from peftlab.engine.dataset import encode_split, parts_of
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import task_of


@dataclass(frozen=True, kw_only=True)
class RowLengths:
    """The tokens of each row to train on and of each to evaluate, and the padding of batches.

    `padding` is its share of the padded batches of the first epoch.
    """

    train: npt.NDArray[np.int64]
    evaluated: npt.NDArray[np.int64]
    padding: float


def row_lengths(trial: Trial, tokenizer: Tokenizer, workspace: Workspace) -> RowLengths:
    """Return the lengths of a trial's rows, encoded into the workspace's cache if need be."""
    source, task = open_ref(trial.data), task_of(trial)

    def split(name: str, limit: int | None) -> Encoded:
        return encode_split(
            source,
            task,
            name,
            limit,
            tokenizer,
            max_length=trial.max_length,
            cache=workspace.cache,
        )

    train = split("train", trial.max_train_samples)
    parts = parts_of(trial, source, train, workspace.cache)
    lengths = train.lengths[parts.trained]
    evaluated = (
        split("dev", trial.max_eval_samples).lengths
        if parts.scored is None
        else train.lengths[parts.scored]
    )
    if parts.held_out is not None:
        evaluated = np.concatenate([evaluated, train.lengths[parts.held_out]])
    order = epoch_order(len(lengths), seed=trial.seeds.order, epoch=1)
    padded = padded_tokens(lengths, order, trial.training.per_device_train_batch_size)
    return RowLengths(train=lengths, evaluated=evaluated, padding=1 - int(lengths.sum()) / padded)
