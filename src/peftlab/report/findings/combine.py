"""Several studies, or one study from several workspaces, combined into one view of all arms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.trial import Trial
from peftlab.report.findings.view import StudyView
from peftlab.store.looks import united
from peftlab.store.records import TrialRecord
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class LabelledView:
    """A study of a workspace, under the label that distinguishes it from the others."""

    label: str
    view: StudyView


@dataclass(frozen=True, kw_only=True)
class DevRows:
    """The identity of the dev rows that are scored: equal for trials with the same rows."""

    task: str
    digest: str
    num_rows: int | None


def combine(name: str, sources: Sequence[LabelledView]) -> StudyView:
    """Return one view of all the arms, on all the tasks.

    An arm whose name occurs in several sources is named label/arm, unless its trials are the same
    in all of them. A task whose dev rows differ between sources is shown once for each set of rows,
    as `task (labels)`, since scores on different rows cannot be compared. Claims stay with their
    studies. Raises UserError if a source has no task in common with the others.
    """
    _require_common_tasks(sources)
    tasks = _tasks(sources)
    arms: dict[str, Arm] = {}
    by_place: dict[tuple[str, str], tuple[TrialRecord, ...]] = {}
    arms_of: dict[int, list[str]] = {}
    records: dict[int, TrialRecord] = {}
    for source, names in zip(sources, _arm_names(sources), strict=True):
        for arm in source.view.arms:
            own_name = names[arm.name]
            if own_name in arms:
                continue
            is_renamed = own_name != arm.name
            base = f"{source.label}/{arm.base}" if is_renamed else arm.base
            arms[own_name] = replace(arm, name=own_name, base=base)
            for task in source.view.tasks:
                found = source.view.of(arm, task)
                by_place[own_name, tasks[dev_rows(source.view, task)].name] = found
                for record in found:
                    records[id(record)] = record
                    arms_of.setdefault(id(record), []).append(own_name)
    told = {
        key: replace(record, arms={name: tuple(arms_of[key])}) for key, record in records.items()
    }
    views = [source.view for source in sources]
    spec = views[0].spec.model_copy(
        update={
            "name": name,
            "description": "",
            "model": _joined(view.spec.model for view in views),
            "data": _joined(view.spec.data_words for view in views),
            "tasks": tuple(task.name for task in tasks.values()),
            "seeds": tuple(dict.fromkeys(seed for view in views for seed in view.spec.seeds)),
            "arms": {},
            "only_arms": None,
            "claims": (),
            "report": (),
        }
    )
    return StudyView(
        spec=spec,
        arms=tuple(arms.values()),
        tasks=tuple(tasks.values()),
        records=tuple(told.values()),
        by_place={
            place: tuple(told[id(record)] for record in found) for place, found in by_place.items()
        },
        looks=united(*(view.looks for view in views)),
        looks_remembered=all(view.looks_remembered for view in views),
    )


def _require_common_tasks(sources: Sequence[LabelledView]) -> None:
    names = [{task.name for task in source.view.tasks} for source in sources]
    for number, own in enumerate(names):
        if not any(own & other for place, other in enumerate(names) if place != number):
            others = sorted(set().union(*names[:number], *names[number + 1 :]))
            raise UserError(
                f"none of its tasks ({', '.join(sorted(own))}) is in any of the others",
                where=sources[number].label,
                allowed=f"studies with a task in common: {', '.join(others)}",
            )


def _tasks(sources: Sequence[LabelledView]) -> dict[DevRows, Task]:
    """Return the tasks by the rows on which they are scored."""
    found: dict[DevRows, Task] = {}
    labels: dict[DevRows, list[str]] = {}
    for source in sources:
        for task in source.view.tasks:
            rows = dev_rows(source.view, task)
            found.setdefault(rows, task)
            labels.setdefault(rows, []).append(source.label)
    names = [rows.task for rows in found]
    return {
        rows: task
        if names.count(rows.task) == 1
        else replace(task, name=f"{task.name} ({', '.join(labels[rows])})")
        for rows, task in sorted(found.items(), key=lambda item: names.index(item[0].task))
    }


def dev_rows(view: StudyView, task: Task) -> DevRows:
    """Return the dev rows of the task in a view."""
    records = [record for arm in view.arms for record in view.of(arm, task)]
    counted = [record.num_eval_examples for record in records if record.status == "done"]
    limits = [record.trial.max_eval_samples for record in records]
    digests = [_scored_digest(record.trial) for record in records]
    return DevRows(
        task=task.name,
        digest=next(iter(digests), ""),
        num_rows=next(iter([*counted, *limits]), None),
    )


def _scored_digest(trial: Trial) -> str:
    """Return a digest of the rows that are scored: those of train with folds, else those of dev.

    If rows of dev are drawn, the seed of the draw is part of it.
    """
    if trial.fold is not None:
        return content_id([trial.data.digest, trial.fold.of, trial.max_train_samples], length=64)
    files = trial.data.files
    if files is None or trial.max_eval_samples is None:
        return trial.data.digest
    return content_id([trial.data.digest, files.split_seed], length=64)


def _arm_names(sources: Sequence[LabelledView]) -> list[dict[str, str]]:
    """Return, for each source, the names of its arms in the combined view."""
    trials: dict[str, set[frozenset[tuple[str, str]]]] = {}
    for source in sources:
        for arm in source.view.arms:
            trials.setdefault(arm.name, set()).add(_trials(source.view, arm))
    return [
        {
            arm.name: arm.name if len(trials[arm.name]) == 1 else f"{source.label}/{arm.name}"
            for arm in source.view.arms
        }
        for source in sources
    ]


def _trials(view: StudyView, arm: Arm) -> frozenset[tuple[str, str]]:
    """Return the arm's trials by their id and the folder of their results."""
    return frozenset(
        (record.trial.id, str(record.folder))
        for task in view.tasks
        for record in view.of(arm, task)
    )


def _joined(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))
