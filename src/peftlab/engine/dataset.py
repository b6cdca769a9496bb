"""A trial's data: its rows read, cut to size, encoded by its checkpoint's tokenizer, split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded, Tokenizer, encode_cached
from peftlab.data.held_out import hold_out
from peftlab.data.limited import limit_key, limited
from peftlab.data.source import DataSource, open_ref
from peftlab.tasks.registry import task_of
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """The task with its encoded rows: those to train on, dev, and those of train held out.

    `further` are the dev rows of the tasks that its trials are evaluated on too, by their names.
    """

    task: Task
    train: Encoded
    dev: Encoded
    held_out: Encoded | None = None
    further: Mapping[str, Encoded] = field(default_factory=dict)

    @property
    def every(self) -> list[Encoded]:
        """All of its rows."""
        own = [rows for rows in (self.train, self.dev, self.held_out) if rows is not None]
        return [*own, *self.further.values()]


def load_data(trial: Trial, tokenizer: Tokenizer, cache: Path) -> TrialData:
    """The trial's rows, from the encoded cache where they have been encoded before.

    `max_train_samples` and `max_eval_samples` keep so many rows (data/limited.py says which); of
    the former some are held out where the trial has a selection.
    Raises UserError where the data are gone or are not those that the trial was planned with.
    """
    task = task_of(trial)
    source = open_ref(trial.data)
    if source.ref(task).digest != trial.data.digest:
        raise UserError(
            f"the rows of task '{task.name}' have changed since the trial {trial.id} was planned",
            where=trial.data.location,
            allowed="the same files, or a new run of the study",
        )

    def split(name: str, limit: int | None, of: Task = task) -> Encoded:
        return encode_split(
            source, of, name, limit, tokenizer, max_length=trial.max_length, cache=cache
        )

    train, dev = split("train", trial.max_train_samples), split("dev", trial.max_eval_samples)
    further = {one.name: split("dev", trial.max_eval_samples, one) for one in task.also_on}
    if trial.selection is None:
        return TrialData(task=task, train=train, dev=dev, further=further)
    parts = hold_out(train, trial.selection, seed=trial.seed)
    return TrialData(
        task=task, train=parts.train, dev=dev, held_out=parts.held_out, further=further
    )


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
    """The rows of a split that are within the limit (None: all), encoded."""
    key = f"{_digest(source, task, split)}:{task.name}:{split}:{limit_key(source, limit)}"
    return encode_cached(
        lambda: limited(source, task, split, limit),
        tokenizer,
        max_length=max_length,
        cache=cache,
        key=key,
    )


def _digest(source: DataSource, task: Task, split: str) -> str:
    """A digest of content that the split's rows follow from; a source's own leaves out test."""
    if split in {"train", "dev"} and task.answered_by is None:
        return source.ref(task).digest
    rows = [[example.texts, example.label] for example in source.examples(task, split)]
    return content_id([split, task.name, rows], length=64)
