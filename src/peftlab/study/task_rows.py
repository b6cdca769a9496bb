"""The rows of a task that a study's trials see, as far as can be told without a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peftlab.core.errors import AbsentError, UserError
from peftlab.core.inputs import DataRef, Example, TaskDefinition
from peftlab.core.progress import stage
from peftlab.core.words import counted
from peftlab.data.encode import labels_of
from peftlab.data.folds import folds_of, require_folds
from peftlab.data.leaks import Leak, find_leak
from peftlab.data.limited import within
from peftlab.data.own_files import OwnSource
from peftlab.data.source import DataSource, open_source, require
from peftlab.study.own_data import define_task
from peftlab.study.spec import ALL, StudySpec
from peftlab.tasks.problem import Values
from peftlab.tasks.registry import TASKS
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """The place of a task's rows, and the labels of the rows within the limits.

    `max_train_samples` and `max_eval_samples` are None where they would cut nothing. What is held
    out is among the rows of train. `leak` is of those rows. With `folds` the rows of train are in
    so many parts, of which the first has `num_in_fold`; `dev` is then train itself, whose every row
    is scored in its part, and `most_in_fold` are the rows of the largest part.
    """

    task: Task
    ref: DataRef
    train: Values
    dev: Values
    leak: Leak
    max_train_samples: int | None = None
    max_eval_samples: int | None = None
    folds: int | None = None
    num_in_fold: int = 0
    most_in_fold: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialRows:
    """A task's rows as a study's trials name them; `seen` has more if they could be read.

    `num_trained` are those that one trial trains on, with folds the first, by its train_size (None:
    all), the smallest first: without what is held out. `num_dev` are those that it is scored on.
    `unread` says why the rows are not here.
    """

    ref: DataRef
    num_trained: Mapping[int | None, int]
    num_dev: int
    max_train_samples: int | None
    max_eval_samples: int | None
    seen: TaskRows | None = None
    unread: str = ""
    definition: TaskDefinition | None = None

    @property
    def num_train(self) -> int:
        """The rows to train on of a trial of the largest size."""
        return [*self.num_trained.values()][-1]


def read_trial_rows(spec: StudySpec, name: str, *, data_needed: bool) -> TrialRows:
    """Return the rows of one of the study's tasks, or only their published number if not here.

    Raises UserError where the task is no such task, where nothing would be held out or trained on,
    and for rows that cannot be read; with `data_needed` for those that are not here, too.
    """
    where = f"{spec.name}: data"
    if not isinstance(spec.data, str):
        own = define_task(
            name, spec.data[name], where=f"{where}.{name}", folds=spec.folds is not None
        )
        return _as_seen(spec, name, _task_rows(own.source, own.task, spec), own.definition)
    task = TASKS.get(name)
    try:
        source = open_source(spec.data, where=where)
        require(source, task, spec.data, where=where)
        seen = _task_rows(source, task, spec)
    except AbsentError as error:
        if data_needed:
            raise
        unread = str(error)
    else:
        return _as_seen(spec, name, seen)
    num_train = min(task.num_train, spec.max_train_samples or task.num_train)
    num_dev = min(task.num_dev, spec.max_eval_samples or task.num_dev)
    if spec.folds is not None:
        num_dev = round(num_train / spec.folds)
        num_train -= num_dev
    most_dev = max(one.num_dev for one in (task, *task.also_on))
    return TrialRows(
        ref=DataRef(source="unread", location=spec.data, digest="unread"),
        num_trained=_num_trained(spec, name, num_train, least=num_train),
        num_dev=num_dev,
        max_train_samples=cutting(spec.max_train_samples, task.num_train),
        max_eval_samples=cutting(spec.max_eval_samples, most_dev),
        unread=unread,
    )


def read_task_rows(
    source: DataSource,
    task: Task,
    *,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
    folds: int | None = None,
    where: str = "",
) -> TaskRows:
    """Return the rows of a task.

    Raises UserError where they cannot be read, and where they cannot be dealt into so many folds,
    which `where` has asked for.
    """
    ref = source.ref(task)
    train = source.examples(task, "train")
    if folds is not None:
        return _in_folds(source, task, train, max_train_samples, folds, where=where)
    dev = source.examples(task, "dev")
    num_dev = len(dev)
    if max_eval_samples is not None:  # which also cuts the dev splits of other tasks
        num_dev = max(num_dev, *(len(source.examples(one, "dev")) for one in task.also_on), 0)
    seen_train = within(source, train, "train", max_train_samples)
    seen_dev = within(source, dev, "dev", max_eval_samples)
    is_same_file = isinstance(source, OwnSource) and source.is_train("dev")
    return TaskRows(
        task=task,
        ref=ref,
        train=labels_of(seen_train),
        dev=labels_of(seen_dev),
        leak=find_leak(seen_train, seen_dev, is_same_file=is_same_file),
        max_train_samples=cutting(max_train_samples, len(train)),
        max_eval_samples=cutting(max_eval_samples, num_dev),
    )


def _in_folds(
    source: DataSource,
    task: Task,
    train: Sequence[Example],
    max_train_samples: int | None,
    folds: int,
    *,
    where: str,
) -> TaskRows:
    """Return the rows of a task whose train is scored in folds; its dev is not read."""
    ref = source.ref(task)
    seen = within(source, train, "train", max_train_samples)
    require_folds(seen, folds, labels=task.labels, where=where)
    labels = labels_of(seen)
    sizes = np.bincount(folds_of(seen, folds, digest=ref.digest))[1:]
    return TaskRows(
        task=task,
        ref=ref,
        train=labels,
        dev=labels,
        leak=Leak(num_rows=len(seen)),
        max_train_samples=cutting(max_train_samples, len(train)),
        folds=folds,
        num_in_fold=int(sizes[0]),
        most_in_fold=int(sizes.max()),
    )


def cutting(limit: int | None, num_rows: int) -> int | None:
    """Return the limit; None if it cuts nothing off this many rows.

    >>> cutting(5, 6), cutting(6, 6)
    (5, None)
    """
    return limit if limit is not None and limit < num_rows else None


def _as_seen(
    spec: StudySpec, name: str, seen: TaskRows, definition: TaskDefinition | None = None
) -> TrialRows:
    num_train = len(seen.train) - seen.num_in_fold
    return TrialRows(
        ref=seen.ref,
        num_trained=_num_trained(spec, name, num_train, least=len(seen.train) - seen.most_in_fold),
        num_dev=seen.num_in_fold or len(seen.dev),
        max_train_samples=seen.max_train_samples,
        max_eval_samples=seen.max_eval_samples,
        seen=seen,
        definition=definition,
    )


def _num_trained(
    spec: StudySpec, name: str, num_train: int, *, least: int
) -> dict[int | None, int]:
    """Return the rows that a trial of each train_size trains on, without what is held out.

    Without folds all of the rows are one size, whether the study says so by a number or by `all`.
    Raises UserError for a size of which some trial has fewer rows: the `least` that one has.
    """
    wanted = spec.train_sizes or (ALL,)
    for size in wanted:
        if size != ALL and size > least:
            raise UserError(
                f"{size:,} training rows of '{name}'",
                where=f"{spec.name}: train_sizes",
                allowed=f"at most {least:,}, or all",
            )
    numbers = sorted({size for size in wanted if size != ALL and size < num_train})
    sizes: list[int | None] = [*numbers]
    if len(numbers) < len(wanted):
        sizes.append(None)
    rows = {size: num_train if size is None else size for size in sizes}
    return {size: number - _num_held_out(spec, name, number) for size, number in rows.items()}


def _num_held_out(spec: StudySpec, name: str, num_train: int) -> int:
    """Return how many rows of train are held out; raise UserError if either side would be empty."""
    if spec.selection is None:
        return 0
    num_held_out = spec.selection.num_held_out(num_train)
    if not 0 < num_held_out < num_train:
        raise UserError(
            f"selection.fraction = {spec.selection.fraction:g} holds out {num_held_out} of the "
            f"{counted(num_train, 'row')} of '{name}'",
            where=f"{spec.name}: selection.fraction",
            allowed="a share that leaves at least one row on either side",
        )
    return num_held_out


def _task_rows(source: DataSource, task: Task, spec: StudySpec) -> TaskRows:
    with stage(f"reading the rows of {task.name}"):
        return read_task_rows(
            source,
            task,
            max_train_samples=spec.max_train_samples,
            max_eval_samples=spec.max_eval_samples,
            folds=spec.folds,
            where=f"{spec.name}: folds",
        )
