"""The groups of arms that differ only in the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.core.identity import content_id
from peftlab.core.trial import Trial
from peftlab.report.findings.view import StudyView
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task


def groups_by_learning_rate(
    view: StudyView, arms: Sequence[Arm], task: Task
) -> dict[str, dict[float, Arm]]:
    """Return the groups with at least two learning rates, by name: arm by learning rate.

    Nothing else differs in their trials on the task. A group's name is the common part of its arms'
    names.
    """
    groups: dict[str, dict[float, Arm]] = {}
    for arm in arms:
        for record in view.of(arm, task)[:1]:
            group = groups.setdefault(_all_else(record.trial), {})
            group.setdefault(record.trial.training.learning_rate, arm)
    return {
        _name([*group.values()]): dict(sorted(group.items()))
        for group in groups.values()
        if len(group) > 1
    }


def _all_else(trial: Trial) -> str:
    values = trial.model_dump(mode="json", exclude={"seed", "seeds"})
    del values["training"]["learning_rate"]
    return content_id(values)


def _name(group: Sequence[Arm]) -> str:
    first = min(group, key=lambda arm: len(arm.name))
    if len({arm.base for arm in group}) > 1:
        return first.name
    others = [f"{key} {value}" for key, value in first.swept.items() if key != "learning_rate"]
    return ", ".join([first.base, *others])
