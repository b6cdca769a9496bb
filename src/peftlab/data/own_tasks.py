"""A user's own task, defined by its files and what the study says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.inputs import OwnFiles, ProblemType, TaskDefinition
from peftlab.core.words import counted
from peftlab.data.own_files import class_names_of, kept_rows, notation_in, options_of
from peftlab.data.own_labels import found_labels
from peftlab.data.read_options import USED_BY, is_used
from peftlab.tasks.metrics.own import sources_of
from peftlab.tasks.metrics.registry import DEFAULTS, require_metrics


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The facts about a task that its files lack; None is found out, or the default."""

    problem_type: ProblemType | None = None
    labels: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None


def define(files: OwnFiles, asked: Asked, *, where: str) -> TaskDefinition:
    """Return the task; its kind and labels are found in train if they are not given.

    Raises UserError, with the key below `where` or the file and line, for what does not fit.
    """
    _require_effect(files, where)
    names = class_names_of(files, asked.labels, asked.problem_type)
    notation = notation_in(files, names, asked.problem_type)
    problem_type = notation.problem_type
    several_columns = len(files.label) > 1
    if several_columns and problem_type != "multi_label_classification":
        raise UserError(
            f"{len(files.label)} columns are no label of {problem_type}",
            where=f"{where}.label",
            allowed="one column, or problem_type: multi_label_classification",
        )
    labels = asked.labels
    if problem_type == "regression":
        if labels is not None:
            what = "a regression has no labels"
            if notation.is_guessed:
                what += f", and the column '{files.label[0]}' of {_name(files)} holds scores"
            raise UserError(
                what,
                where=f"{where}.labels",
                allowed="no such key, or problem_type: single_label_classification",
            )
    elif labels is None and several_columns:
        labels = files.label
    elif labels is None and names:
        labels = names
    elif labels is None:
        rows = kept_rows(files.train, files, notation)
        located = ((row.cells, f"{files.train}:{row.number}") for row in rows)
        labels = found_labels(located, files, notation)
    elif notation.num_flags and len(labels) != notation.num_flags:
        raise UserError(
            f"{counted(len(labels), 'name')} for lists of {notation.num_flags} values, 0 or 1 for "
            f"each label, in {_name(files)}",
            where=f"{where}.labels",
        )
    if several_columns and labels is not None and len(labels) != len(files.label):
        raise UserError(
            f"{counted(len(labels), 'name')} for {len(files.label)} columns",
            where=f"{where}.labels",
        )
    if labels is not None and len(labels) < 2:
        raise UserError(
            f"{problem_type} with fewer than two labels: {', '.join(labels) or 'there are none'}",
            where=f"{files.train}: column '{files.label[0]}'",
            allowed="another column, or all labels in labels",
        )
    metrics = asked.metrics or DEFAULTS[problem_type]
    require_metrics(metrics, problem_type, len(labels or ()), where=f"{where}.metrics")
    return TaskDefinition(
        problem_type=problem_type,
        labels=labels or (),
        metrics=metrics,
        texts=files.text,
        metric_sources=sources_of(metrics, where=f"{where}.metrics"),
    )


def _require_effect(files: OwnFiles, where: str) -> None:
    """Raise UserError if an option for reading applies to none of the files."""
    paths = [path for path in (files.train, files.dev, files.test) if path is not None]
    for name in options_of(files).given:
        if not any(is_used(name, path) for path in paths):
            raise UserError(
                f"does not apply to {_name(files)}",
                where=f"{where}.{name}",
                allowed=f"a file of another format: {USED_BY[name]}",
            )


def _name(files: OwnFiles) -> str:
    return Path(files.train).name
