"""A trial's data: its rows read, cut to size, encoded by its checkpoint's tokenizer, split."""

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
    """The task with its encoded rows: those to train on, dev, and those of train held out.

    With folds `dev` is the part of train that the trial is scored on. `further` are the dev rows of
    the tasks that its trials are evaluated on too, by their names.
    """

    task: Task
    train: Encoded
    dev: Encoded
    held_out: Encoded | None = None
    further: Mapping[str, Encoded] = field(default_factory=dict)

    @property
    def every(self) -> list[Encoded]:
        """Return all of its rows."""
        own = [rows for rows in (self.train, self.dev, self.held_out) if rows is not None]
        return [*own, *self.further.values()]


def load_data(trial: Trial, tokenizer: Tokenizer, cache: Path) -> TrialData:
    """Return the trial's rows, from the encoded cache where they have been encoded before.

    `max_train_samples` and `max_eval_samples` keep so many rows (data/limited.py says which); of
    the former the trial may hold some out or be scored on some (data/train_parts.py).
    Raises UserError where the data are gone or are not those that the trial was planned with.
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
    """Return the parts of train, which is encoded, as the trial uses them."""
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
    """Return the rows of a split that are within the limit (None: all), encoded."""
    key = f"{_digest(source, task, split)}:{task.name}:{split}:{limit_key(source, limit)}"
    return encode_cached(
        lambda: limited(source, task, split, limit),
        tokenizer,
        max_length=max_length,
        cache=cache,
        key=key,
    )


def _digest(source: DataSource, task: Task, split: str) -> str:
    """Return a digest of what the split's rows follow from; a source's own leaves out test."""
    if split in {"train", "dev"} and task.answered_by is None:
        return source.ref(task).digest
    rows = [[example.texts, example.label] for example in source.examples(task, split)]
    return content_id([split, task.name, rows], length=64)
