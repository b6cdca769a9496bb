"""Precision, recall and F1 of each class, or of each label if an example may have several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import JsonValue

from peftlab.report.findings.class_numbers import ANSWERS, ClassNumbers, as_question
from peftlab.report.findings.view import StudyView
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.summary import Summary, summarise
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """The scores of an arm on one class of a task, in points, as means over its seeds.

    `support` is the number of scored examples of the class. `low` and `high` are the 95% interval
    of F1, None if no interval was asked for or no noise is seen.
    """

    arm: str
    task: str
    label: str
    precision: float
    recall: float
    f1: float
    support: int
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the object of `report STUDY --json`."""
        values: dict[str, JsonValue] = asdict(self)
        return {name: value for name, value in values.items() if name not in ("low", "high")}


def class_scores(
    view: StudyView, arms: Sequence[Arm], task: Task, *, within: Sequence[str] | None = None
) -> list[ClassScore]:
    """Return a score for each class, in the order of the logits, and arm.

    `within` names the only classes to return, with an interval for each. A regression has no
    scores, nor has an arm whose predictions are gone.
    """
    if task.problem_type == "regression":
        return []
    of_arms = [(arm, view.statistics.classes(arm.name, task)) for arm in arms]
    return [
        _score(view, arm, task, label_index, numbers[label_index], with_interval=within is not None)
        for label_index, label in enumerate(task.labels)
        if within is None or label in within
        for arm, numbers in of_arms
        if numbers
    ]


def f1_summary(outcomes: Outcomes, label_index: int) -> Summary | None:
    """Return the summary of the F1 of the class at that place.

    None where a fold has no example of the class: the F1 there is 0 whatever the model has learned,
    so the spread over the folds would not be that of models.
    """
    own = as_question(outcomes, label_index)
    if own.folds is not None:
        fold_N = own.folds.fold_N
        if set(fold_N[own.labels_N == 1].tolist()) != set(fold_N.tolist()):
            return None
    return summarise(own)


def worst_classes(scores: Sequence[ClassScore], most: int) -> list[str]:
    """Return the classes with the lowest mean F1 over the arms, lowest first.

    Classes without scored examples are left out.
    """
    by_label: dict[str, list[float]] = {}
    for one in scores:
        if one.support:
            by_label.setdefault(one.label, []).append(one.f1)
    means = {label: float(np.mean(values)) for label, values in by_label.items()}
    return sorted(means, key=lambda label: means[label])[:most]


def classes_json(view: StudyView) -> list[dict[str, JsonValue]]:
    """Return an object for each task, class and arm."""
    return [one.to_json() for task in view.tasks for one in class_scores(view, view.arms, task)]


def _score(
    view: StudyView,
    arm: Arm,
    task: Task,
    label_index: int,
    numbers: ClassNumbers,
    *,
    with_interval: bool,
) -> ClassScore:
    outcomes = view.outcomes(arm, task, ANSWERS) if with_interval else None
    summary = None if outcomes is None else f1_summary(outcomes, label_index)
    has_interval = summary is not None and summary.has_interval
    return ClassScore(
        arm=view.label(arm),
        task=task.name,
        label=task.labels[label_index],
        **asdict(numbers),
        low=summary.low if summary is not None and has_interval else None,
        high=summary.high if summary is not None and has_interval else None,
    )
