"""`peftlab list`: the tasks, methods, models, architectures, studies and trials there are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import completion, options
from peftlab.core.process import quiet_libraries
from peftlab.core.scores import scores_words

if TYPE_CHECKING:
    from peftlab.methods.base import Method
    from peftlab.store.records import TrialRecord

NAME = "list"
app = typer.Typer(
    help="List tasks, methods, models, architectures, studies or trials.",
    epilog="Example: peftlab list trials --study quickstart",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: peftlab list tasks --json")
def tasks(as_json: options.Json = False) -> int:
    """List the tasks with their metrics and sizes."""
    from peftlab.tasks.registry import TASKS

    if as_json:
        options.print_json(
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
        return 0
    options.print_table(
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
    return 0


@app.command(epilog="Example: peftlab list methods")
def methods(as_json: options.Json = False) -> int:
    """List the methods with their papers and defaults, and whether they pack and merge.

    With --json every setting of each, which takes the seconds in which peft is imported.
    """
    quiet_libraries()
    from peftlab.methods.registry import METHODS

    if as_json:
        options.print_json(
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
        return 0
    options.print_table(
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
    return 0


def _merges(method: Method) -> str:
    if method.can_merge and method.merges_if is not None:
        return f"if {method.merges_if}"
    return "yes" if method.can_merge else "no"


@app.command(epilog="Example: peftlab list models")
def models(as_json: options.Json = False) -> int:
    """List the checkpoints that are known by name; any other Hub id or folder works too.

    'peftlab list architectures' says how they are computed.
    """
    from peftlab.models.builtin import builtin_models

    found = builtin_models()
    if as_json:
        options.print_json([asdict(model) for model in found])
        return 0
    options.print_table(
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
    return 0


@app.command(epilog="Example: peftlab list architectures")
def architectures(as_json: options.Json = False) -> int:
    """List the architectures that are tested, how they are computed, and why some are padded.

    Any other one of which transformers makes a sequence classifier is padded, and not tested.
    """
    from peftlab.models.families import FAMILIES

    if as_json:
        options.print_json([family.summary() for family in FAMILIES])
        return 0
    options.print_table(
        ("architecture", "title", "reads the", "computed", "padded because"),
        [(f.model_type, f.title, f.pooling, f.way, f.why_padded) for f in FAMILIES],
    )
    return 0


@app.command(epilog="Example: peftlab list studies")
def studies(
    workspace: options.Workspace = options.DEFAULT_WORKSPACE, as_json: options.Json = False
) -> int:
    """List the built-in studies, and those that the workspace holds."""
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
        options.print_json(found)
        return 0
    options.print_table(
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
    return 0


@app.command(epilog="Example: peftlab list trials --study quickstart --json")
def trials(
    study: Annotated[
        str | None,
        typer.Option(
            help="Only the trials of this study.", autocompletion=completion.stored_studies
        ),
    ] = None,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """List the trials of the workspace with their scores in points."""
    from peftlab.store.workspace import Workspace
    from peftlab.study.remembered_looks import remember_records

    name = None if study is None else options.study_name(study)
    with Workspace.open(workspace, create=False) as opened:
        records = opened.trials(name)
        _print_trials(records, as_json=as_json)
        remark = remember_records(opened, records, name)
    if remark:
        options.remark(remark)
    return 0


def _print_trials(records: list[TrialRecord], *, as_json: bool) -> None:
    from peftlab.report.findings.marks import mark_note, marked

    if as_json:
        options.print_json([record.to_json() for record in records])
        return
    has_folds = any(record.trial.fold for record in records)
    own = ("#fold",) if has_folds else ()
    scores = "scores" if has_folds else "scores on dev"
    options.print_table(
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
                record.status,
                scores_words(record.scores),
                record.rule,
            )
            for record in records
        ],
    )
    if note := mark_note(records):
        print(note)
