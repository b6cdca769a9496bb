"""Precision, recall and F1 of each class, or of each label where an example may have several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import JsonValue

from peftlab.report.findings.view import StudyView
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.summary import summarise
from peftlab.study.arms import Arm
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Floats
from peftlab.tasks.spec import Task

ANSWERS = "f1_macro"
"""A metric of the answers, by which predictions are read for either kind of classes."""


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """What an arm scores by one class of a task, in points, as the mean over its seeds.

    `support` is how many scored examples have the class. `low` and `high` hold the F1 with 95%;
    both are None where no interval was asked for, or no noise is seen.
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

    `within` names classes: these alone are returned, with an interval for each. A regression has
    none, and neither has an arm whose predictions are gone.
    """
    if task.problem_type == "regression":
        return []
    found = []
    read = [(arm, view.outcomes(arm, task, ANSWERS)) for arm in arms]
    for place, label in enumerate(task.labels):
        if within is not None and label not in within:
            continue
        for arm, outcomes in read:
            if outcomes is not None:
                own = _as_question(outcomes, place)
                found.append(_score(view.label(arm), task.name, label, own, within is not None))
    return found


def worst_classes(scores: Sequence[ClassScore], most: int) -> list[str]:
    """Return the classes with the lowest F1 in the mean over the arms, the lowest first.

    Classes that no scored example has are left out.
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


def _as_question(outcomes: Outcomes, place: int) -> Outcomes:
    """Return the outcomes as answers to whether an example has the class at that place."""
    is_own = [
        values[..., place] == 1 if outcomes.labels_N.ndim == 2 else values == place
        for values in (outcomes.labels_N, outcomes.predictions_SN)
    ]
    labels_N, predictions_SN = (one.astype(np.int64) for one in is_own)
    return Outcomes(
        metric="f1", labels_N=labels_N, predictions_SN=predictions_SN, seeds=outcomes.seeds
    )


def _score(arm: str, task: str, label: str, own: Outcomes, with_interval: bool) -> ClassScore:
    summary = summarise(own) if with_interval else None
    has_interval = summary is not None and summary.has_interval
    return ClassScore(
        arm=arm,
        task=task,
        label=label,
        precision=float(_scores("precision", own).mean()),
        recall=float(_scores("recall", own).mean()),
        f1=float(own.scores_S.mean()),
        support=int(own.labels_N.sum()),
        low=summary.low if summary is not None and has_interval else None,
        high=summary.high if summary is not None and has_interval else None,
    )


def _scores(metric: str, own: Outcomes) -> Floats:
    return METRICS.get(metric).scores(own.labels_N, own.predictions_SN)
