"""The limits of what the rows of a study's tasks can show: labels that are lacking, rows that dev
shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peftlab.core.errors import UserError
from peftlab.core.safe_yaml import parse_yaml
from peftlab.core.selection import Selection
from peftlab.core.words import all_of
from peftlab.data.encodings import WESTERN
from peftlab.data.held_out import is_held_out
from peftlab.data.leaks import Leak, find_leak, num_contradictory
from peftlab.data.own_files import OwnSource, options_of
from peftlab.data.read_options import guessed_example
from peftlab.study.own_data import anchored, define_task
from peftlab.study.remarks.finding import Finding
from peftlab.study.spec import validate
from peftlab.study.task_rows import TaskRows, read_task_rows
from peftlab.study.trials import Expanded
from peftlab.tasks.problem import Values, problem_type_of
from peftlab.tasks.spec import Task

MOST_NAMED = 10
"""The most labels that one remark names."""

ONE_LABEL = "one-label"
LEAK_OF_BENCHMARK = 0.01
"""Public data share a few rows between their splits, as published scores do: a note below it."""

WITHOUT = {
    "train": "no method can learn to give",
    "dev": "scores say nothing of",
    "held-out": "the epoch is chosen without",
}


def row_remarks(expanded: Expanded) -> list[Finding]:
    """Return the findings on the rows of all tasks that could be read."""
    found: list[Finding] = []
    for rows in expanded.rows.values():
        found += [
            *split_remarks(rows, selection=expanded.spec.selection, seeds=_seeds(expanded)),
            *leak_remarks(rows),
            *reading_remarks(rows),
            *file_remarks(rows),
        ]
    return found


@dataclass(frozen=True, kw_only=True)
class Remarks:
    """Findings in words: those for which a study is not run, and the others."""

    errors: Sequence[str] = ()
    others: Sequence[str] = ()


def remarks_on_draft(text: str, study: Path) -> Remarks:
    """Return the findings on the rows of a study that `peftlab new` is about to write.

    Where there are errors, the others are not looked for. Raises UserError, with file and line,
    where the rows are not all as they must be.
    """
    raw = anchored(parse_yaml(text, where=study.name), study.absolute().parent)
    spec = validate(raw, where=study.name)
    errors: list[Finding] = []
    others: list[Finding] = []
    for name, own in spec.own_data.items():
        defined = define_task(
            name, own, where=f"{study.name}: data.{name}", folds=spec.folds is not None
        )
        rows = read_task_rows(
            defined.source, defined.task, folds=spec.folds, where=f"{study.name}: folds"
        )
        errors += split_remarks(rows, only_errors=True)
        if not errors:
            others += [
                *split_remarks(rows),
                *leak_remarks(rows),
                *reading_remarks(rows),
                *file_remarks(rows),
            ]
    return Remarks(errors=[*map(_in_words, errors)], others=[*map(_in_words, others)])


def reading_words(expanded: Expanded) -> list[str]:
    """Return the facts about the reading of own files that a user should know before a run."""
    return [
        f"{one.where}: {one.message}"
        for rows in expanded.rows.values()
        for one in reading_remarks(rows)
    ]


def _in_words(one: Finding) -> str:
    return f"{one.where.removeprefix('data: ')}: {one.message}"


def require_labels(expanded: Expanded) -> None:
    """Raise UserError if a split that is used has only one label, or only one score."""
    for rows in expanded.rows.values():
        for one in split_remarks(
            rows, selection=expanded.spec.selection, seeds=_seeds(expanded), only_errors=True
        ):
            raise UserError(one.message, where=f"{expanded.spec.name}: {one.where}")


def split_remarks(
    rows: TaskRows,
    *,
    selection: Selection | None = None,
    seeds: Sequence[int] = (),
    only_errors: bool = False,
) -> Iterator[Finding]:
    """Yield findings on what the used splits lack: an error for one label of two, a warning for
    one of many.

    With a selection, train is what is left of it, and its other rows are a split of their own. With
    folds they are those of train as a whole, of which every part has its share.
    """
    for split in _splits(rows, selection, seeds):
        where = _where(rows, split.name)
        if _is_of_one(split.labels):
            yield Finding(
                level="error", rule=ONE_LABEL, where=where, message=_one_label(rows, split)
            )
        elif not only_errors:
            yield from _lacking(rows, split, where)


def leak_remarks(rows: TaskRows) -> Iterator[Finding]:
    """Yield a finding if rows of dev are in train too."""
    leak = rows.leak
    if leak.is_any:
        grave = is_grave(leak, is_own=rows.ref.source == "files")
        yield Finding(
            level="warning" if grave else "note",
            rule="dev-in-train",
            where=f"data: {rows.task.name}",
            message=f"{leak.words()}; scores on such rows show what was memorised",
        )


def is_grave(leak: Leak, *, is_own: bool) -> bool:
    """Return whether the leak makes scores unreliable; `is_own`: the files are a person's."""
    return leak.is_any and (is_own or leak.share >= LEAK_OF_BENCHMARK)


def reading_remarks(rows: TaskRows) -> Iterator[Finding]:
    """Yield findings on an encoding that was guessed, and on rows that were left out."""
    files = rows.ref.files
    if files is None:
        return
    for split, path in {"train": files.train, "dev": files.dev, "test": files.test}.items():
        example = None if path is None else guessed_example(Path(path), options_of(files))
        if example is not None:
            yield Finding(
                level="note",
                rule="guessed-encoding",
                where=_where(rows, split),
                message=f"not UTF-8; read as cp1252 it gives '{example}': "
                f"write encoding: {WESTERN}, or the right one, in the study's data",
            )
    if rows.ref.dropped_words:
        verb = "was" if sum(rows.ref.num_dropped.values()) == 1 else "were"
        yield Finding(
            level="note",
            rule="rows-dropped",
            where=f"data: {rows.task.name}",
            message=f"{rows.ref.dropped_words} {verb} dropped (missing: drop)",
        )


def file_remarks(rows: TaskRows) -> Iterator[Finding]:
    """Yield findings on own files: test rows in train, and texts with several labels."""
    files = rows.ref.files
    if files is None:
        return
    source = OwnSource(files)
    train = source.examples(rows.task, "train")
    number, places = num_contradictory(train)
    if places is not None:
        texts, have = ("text", "has") if number == 1 else ("texts", "have")
        yield Finding(
            level="warning",
            rule="contradictory-labels",
            where=_where(rows, "train"),
            message=f"{number:,} {texts} of train {have} different labels in different rows, as "
            f"rows {places[0] + 1:,} and {places[1] + 1:,}: no method can get both right",
        )
    if files.test is not None:
        try:
            leak = find_leak(
                train, source.examples(rows.task, "test"), is_same_file=source.is_train("test")
            )
        except UserError as error:
            yield Finding(
                level="warning", rule="test-unreadable",
                where=_where(rows, "test"), message=str(error),
            )  # fmt: skip
            return
        if leak.is_any:
            yield Finding(
                level="warning",
                rule="test-in-train",
                where=f"data: {rows.task.name}",
                message=leak.words("test"),
            )


def _where(rows: TaskRows, split: str) -> str:
    """Return words for a split of the task, with the name of its file where it has one."""
    words = f"data: {rows.task.name} {split}"
    files = rows.ref.files
    if files is None:
        return words
    file = {"dev": files.dev, "test": files.test}.get(split) or files.train
    return f"{words} ({Path(file).name})"


@dataclass(frozen=True, kw_only=True)
class _Split:
    name: str
    labels: Values
    seed: int | None = None


def _splits(rows: TaskRows, selection: Selection | None, seeds: Sequence[int]) -> Iterator[_Split]:
    """Yield the splits that are used; parts of train for the seeds that may leave one label."""
    if selection is None:
        yield _Split(name="train", labels=rows.train)
    else:
        parts = [
            (seed, is_held_out(rows.train, selection, seed=seed))
            for seed in _telling(rows.train, selection, seeds)
        ]
        for name, is_own in (("train", False), ("held-out", True)):
            every = [
                _Split(name=name, labels=rows.train[chosen == is_own], seed=seed)
                for seed, chosen in parts
            ]
            # The seeds' parts say the same, or the first that has one label alone says more.
            yield next((one for one in every if _is_of_one(one.labels)), every[0])
    if rows.folds is None:
        yield _Split(name="dev", labels=rows.dev)


def _telling(labels: Values, selection: Selection, seeds: Sequence[int]) -> Sequence[int]:
    """Return enough seeds to know whether a part of train has only one label under any of them.

    Classes have the same shares under every seed. Scores and sets of labels are shared out by
    strata, within which they differ: a part may be of one where that is common enough to fill it.
    """
    if problem_type_of(labels) == "single_label_classification":
        return seeds[:1]
    _, counts = np.unique(labels, axis=0, return_counts=True)
    num_held_out = selection.num_held_out(len(labels))
    may_be = counts.max() >= min(num_held_out, len(labels) - num_held_out)
    return seeds if may_be else seeds[:1]


def _is_of_one(labels: Values) -> bool:
    return bool((labels == labels[:1]).all())


def _one_label(rows: TaskRows, split: _Split) -> str:
    """Return the sentence that all rows have one label, with what to do."""
    task, labels = rows.task, split.labels
    name = "train, held out," if split.name == "held-out" else split.name
    which = "the only row" if len(labels) == 1 else all_of(len(labels), "rows")
    limit = rows.max_eval_samples if split.name == "dev" else rows.max_train_samples
    if limit is not None and rows.ref.source != "files" and split.seed is None:
        which = f"the first {len(labels):,} rows" if len(labels) > 1 else "the first row"
    has = "has" if len(labels) == 1 else "have"
    key = "max_eval_samples" if split.name == "dev" else "max_train_samples"
    seed = "" if split.seed is None else f" (seed {split.seed})"
    wanted = "scores that differ" if task.problem_type == "regression" else "two labels or more"
    more = "" if limit is None else f": raise {key}"
    if split.name == "held-out":
        more = ": raise selection.fraction"
    so = "nothing can be compared" if split.name == "dev" else "there is nothing to learn"
    return (
        f"{which} of {name} {has} {_label(task, labels[0])}{seed}, so that {so}; "
        f"rows with {wanted} are needed{more}"
    )


def _label(task: Task, label: object) -> str:
    """Return a row's label in words."""
    if task.problem_type == "regression":
        return f"the score {label:g}"
    places = np.flatnonzero(label) if isinstance(label, np.ndarray) else [int(str(label))]
    names = [task.labels[place] for place in places]
    if task.problem_type == "multi_label_classification":
        return f"the labels {_quoted_list(names)}" if names else "no label"
    return f"the label {_quoted_list(names)}"


def _lacking(rows: TaskRows, split: _Split, where: str) -> Iterator[Finding]:
    """Yield a finding for the labels that the split lacks."""
    here, of_dev = _counts(split.labels, rows.task), _counts(rows.dev, rows.task)
    lacking = np.flatnonzero(here == 0)
    if not len(lacking):
        return
    num_rows = len(split.labels)
    none = "the only row lacks" if num_rows == 1 else f"none of the {num_rows:,} rows has"
    names = _quoted_list([rows.task.labels[place] for place in lacking])
    which = "the label" if len(lacking) == 1 else f"{len(lacking):,} labels"
    reason = f"{WITHOUT[split.name]} {'it' if len(lacking) == 1 else 'them'}"
    num_dev = int(of_dev[lacking].sum())
    if split.name == "train" and num_dev:
        have = "row of dev has" if num_dev == 1 else "rows of dev have"
        reason += f", and {num_dev:,} {have} {'it' if len(lacking) == 1 else 'one of them'}"
    yield Finding(
        level="warning",
        rule="lacking-label",
        where=where,
        message=f"{none} {which} {names}: {reason}",
    )


def _counts(labels: Values, task: Task) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the number of rows of each label, int64 [C]; none for scores."""
    if task.problem_type == "regression":
        return np.empty(0, np.int64)
    if labels.ndim == 2:
        return np.asarray(labels.sum(axis=0), dtype=np.int64)
    return np.bincount(labels.astype(np.int64), minlength=len(task.labels))


def _quoted_list(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else shown


def _seeds(expanded: Expanded) -> Sequence[int]:
    every: Iterable[int] = (seed for arm in expanded.arms for seed in arm.seeds)
    return [*dict.fromkeys(every)]
