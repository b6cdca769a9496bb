"""The lists that `peftlab list` prints.

The library that reads a command's options takes longer to import than such a list to print, so it
is not imported here.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.cli.printing import print_json, print_table, remark
from peftlab.core.process import quiet_libraries

if TYPE_CHECKING:
    from peftlab.methods.base import Method
    from peftlab.store.records import TrialRecord


def print_tasks(*, as_json: bool) -> None:
    """Print the tasks with their metrics and sizes."""
    from peftlab.tasks.registry import TASKS

    if as_json:
        print_json(
            [
                {
                    "name": task.name,
                    "title": task.title,
                    "labels": task.labels,
                    "metrics": task.metrics,
                    "num_train": task.num_train,
                    "num_dev": task.num_dev,
                    "problem_type": task.problem_type,
                    "answered_by": task.answered_by,
                }
                for task in TASKS
            ]
        )
        return
    print_table(
        ("task", "title", "kind", "metrics", "#train", "#dev"),
        [
            (
                task.name,
                task.title,
                f"{task.num_labels} classes" if task.labels else task.problem_type,
                ", ".join(task.metrics),
                f"by {task.answered_by}" if task.answered_by else f"{task.num_train:,}",
                f"{task.num_dev:,}",
            )
            for task in TASKS
        ],
    )


def print_methods(*, as_json: bool) -> None:
    """Print the methods with their papers and defaults, and whether they pack and merge."""
    quiet_libraries()
    from peftlab.methods.registry import METHODS

    if as_json:
        print_json(
            [
                {
                    "name": method.name,
                    "title": method.title,
                    "paper": method.paper,
                    "learning_rate": method.learning_rate,
                    "trains_head": method.trains_head,
                    "is_identity_at_start": method.is_identity_at_start,
                    "packs": method.why_not_packed is None,
                    "why_not_packed": method.why_not_packed,
                    "merges": method.can_merge,
                    "merges_if": method.merges_if,
                    "why_row_by_row": method.why_row_by_row,
                    "settings": method.settings(),
                }
                for method in METHODS
            ]
        )
        return
    print_table(
        ("method", "title", "source", "#rate", "packs", "merges"),
        [
            (
                method.name,
                method.title,
                method.paper,
                "-" if method.learning_rate is None else f"{method.learning_rate:g}",
                "no" if method.why_not_packed else "yes",
                _merges(method),
            )
            for method in METHODS
        ],
    )


def _merges(method: Method) -> str:
    if method.can_merge and method.merges_if is not None:
        return f"if {method.merges_if}"
    return "yes" if method.can_merge else "no"


def print_models(*, as_json: bool) -> None:
    """Print the checkpoints that are known by name."""
    from peftlab.models.builtin import builtin_models

    found = builtin_models()
    if as_json:
        print_json([asdict(model) for model in found])
        return
    print_table(
        ("model", "what it is", "architecture", "computed", "weights"),
        [
            (
                m.name,
                m.title,
                m.architecture,
                m.way,
                "on this machine" if m.available else "from the Hub",
            )
            for m in found
        ],
    )


def print_architectures(*, as_json: bool) -> None:
    """Print the tested architectures, how they are computed, and why some are padded."""
    from peftlab.models.families import FAMILIES

    if as_json:
        print_json([family.summary() for family in FAMILIES])
        return
    print_table(
        ("architecture", "title", "reads the", "computed", "padded because"),
        [(f.model_type, f.title, f.pooling, f.way, f.why_padded) for f in FAMILIES],
    )


def print_studies(*, workspace: Path, as_json: bool) -> None:
    """Print the built-in studies, and those that the workspace holds."""
    from peftlab.store.reader import DATABASE
    from peftlab.store.workspace import Workspace
    from peftlab.study.load import builtin_studies

    stored: list[str] = []
    if (workspace / DATABASE).is_file():
        with Workspace.open(workspace, create=False) as opened:
            stored = opened.studies()
    builtin = builtin_studies()
    found = [
        {
            "name": name,
            "description": builtin[name].description if name in builtin else "",
            "builtin": name in builtin,
            "in_workspace": name in stored,
        }
        for name in dict.fromkeys([*builtin, *stored])
    ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("study", "what it asks", "where"),
        [
            (
                str(row["name"]),
                str(row["description"]),
                " and ".join(
                    word
                    for word, holds in (
                        ("built in", row["builtin"]),
                        ("workspace", row["in_workspace"]),
                    )
                    if holds
                ),
            )
            for row in found
        ],
    )


def print_trials(*, study: str | None, workspace: Path, as_json: bool) -> None:
    """Print the trials of the workspace, or of one study in it, with their scores in points."""
    from peftlab.store.workspace import Workspace
    from peftlab.study.remembered_looks import remember_records

    with Workspace.open(workspace, create=False) as opened:
        records = opened.trials(study)
        _print_trials(records, as_json=as_json)
        words = remember_records(opened, records, study)
    if words:
        remark(words)


def _print_trials(records: list[TrialRecord], *, as_json: bool) -> None:
    from peftlab.report.findings.marks import mark_note, marked
    from peftlab.tasks.scores import scores_words

    if as_json:
        print_json([record.to_json() for record in records])
        return
    if not records:
        print("no trial has been run here yet")
        return
    has_folds = any(record.trial.fold for record in records)
    has_sizes = any(record.trial.train_size for record in records)
    own = (*(("#fold",) if has_folds else ()), *(("#rows",) if has_sizes else ()))
    scores = "scores" if has_folds else "scores on dev"
    print_table(
        ("trial", "arm", "task", "#seed", *own, "status", scores, "of the"),
        [
            (
                record.trial.id,
                ", ".join(
                    marked(arm, [record])
                    for arm in sorted({arm for arms in record.arms.values() for arm in arms})
                ),
                record.trial.task,
                str(record.trial.seed),
                *([str(record.trial.fold or "")] if has_folds else []),
                *([record.trial.train_size_words] if has_sizes else []),
                record.status,
                scores_words(record.scores),
                record.rule,
            )
            for record in records
        ],
    )
    if note := mark_note(records):
        print(note)
