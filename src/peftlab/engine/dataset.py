"""A trial's data: its rows are read, limited, encoded by its checkpoint's tokenizer, and split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded, Tokenizer, encode_cached
from peftlab.data.folds import folds_cached
from peftlab.data.held_out import take
from peftlab.data.limited import limit_key, limited
from peftlab.data.source import DataSource, open_ref
from peftlab.data.train_parts import TrainParts, train_parts
from peftlab.tasks.registry import task_of
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """The task with its encoded rows: for training, for evaluation (dev), and held out from train.

    With folds, `dev` is the part of train that the trial is scored on. `further` holds the dev rows
    of the other tasks on which the trial is evaluated, by their names.
    """

    task: Task
    train: Encoded
    dev: Encoded
    held_out: Encoded | None = None
    further: Mapping[str, Encoded] = field(default_factory=dict)

    @property
    def every(self) -> list[Encoded]:
        """Return all splits of the data."""
        own = [rows for rows in (self.train, self.dev, self.held_out) if rows is not None]
        return [*own, *self.further.values()]


def load_data(trial: Trial, tokenizer: Tokenizer, cache: Path) -> TrialData:
    """Return the trial's rows, from the cache if they have been encoded before.

    `max_train_samples` and `max_eval_samples` limit the rows (data/limited.py says which are kept);
    the trial may hold out some of the training rows, or be scored on some (data/train_parts.py).
    Raises UserError if the data are gone or have changed since the trial was planned.
    """
    task = task_of(trial)
    source = open_ref(trial.data)
    if source.ref(task).digest != trial.data.digest:
        raise UserError(
            f"the rows of task '{task.name}' have changed since the trial {trial.id} was planned",
            where=trial.data.location,
            remedy="put the same files back, or run the study again",
        )

    def split(name: str, limit: int | None, of: Task = task) -> Encoded:
        return encode_split(
            source, of, name, limit, tokenizer, max_length=trial.max_length, cache=cache
        )

    every = split("train", trial.max_train_samples)
    parts = parts_of(trial, source, every, cache)
    return TrialData(
        task=task,
        train=every if len(parts.trained) == len(every) else take(every, parts.trained),
        dev=split("dev", trial.max_eval_samples)
        if parts.scored is None
        else take(every, parts.scored),
        held_out=None if parts.held_out is None else take(every, parts.held_out),
        further={one.name: split("dev", trial.max_eval_samples, one) for one in task.also_on},
    )


def parts_of(trial: Trial, source: DataSource, train: Encoded, cache: Path) -> TrainParts:
    """Return the parts into which the trial divides its encoded training rows."""
    folds = None
    if trial.fold is not None:
        task, limit = task_of(trial), trial.max_train_samples
        folds = folds_cached(
            lambda: limited(source, task, "train", limit),
            trial.fold.of,
            digest=trial.data.digest,
            key=f"{task.name}:{limit_key(source, limit)}",
            cache=cache,
        )
    return train_parts(trial, train.labels, folds)


def encode_split(
    source: DataSource,
    task: Task,
    split: str,
    limit: int | None,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    cache: Path,
) -> Encoded:
    """Return the encoded rows of a split within the limit (None: all)."""
    key = f"{_split_digest(source, task, split)}:{task.name}:{split}:{limit_key(source, limit)}"
    return encode_cached(
        lambda: limited(source, task, split, limit),
        tokenizer,
        max_length=max_length,
        cache=cache,
        key=key,
    )


def _split_digest(source: DataSource, task: Task, split: str) -> str:
    """Return a digest that identifies the split's rows; the digest of a source leaves out test."""
    if split in {"train", "dev"} and task.answered_by is None:
        return source.ref(task).digest
    rows = [[example.texts, example.label] for example in source.examples(task, split)]
    return content_id([split, task.name, rows], length=64)
