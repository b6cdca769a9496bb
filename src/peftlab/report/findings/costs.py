"""The kinds of cost by which arms are compared, and how each is read and shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from peftlab.core.measurements import Costs
from peftlab.core.words import counted, data_size, duration
from peftlab.report.findings.view import StudyView
from peftlab.stats.best import sum_is_larger
from peftlab.store.records import TrialRecord
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName
from peftlab.tasks.spec import Task

COST_LEVEL = 0.01
"""The probability of calling one of two arms of equal cost more expensive."""
IN_GROUP = "(in a group)"
"""The mark of a cost that is known only as a share of a group's."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A kind of cost. `of` reads it from a trial's costs, in `unit`; None if it was not measured.

    `note` is a sentence about what is counted. If `is_shared`, a trial that shared its steps with
    others has a share of the group's cost, by its tokens, which says little about the arm.
    """

    title: str
    unit: str
    of: Callable[[Costs], float | None]
    show: Callable[[float], str]
    note: str = ""
    is_shared: bool = False

    @property
    def axis(self) -> str:
        """The title of an axis that shows this cost."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


COSTS: dict[CostName, Cost] = {
    "parameters": Cost(
        title="trainable parameters",
        unit="",
        of=lambda costs: costs.parameters.trainable,
        show=lambda value: f"{value:,.0f}",
    ),
    "time": Cost(
        title="training time",
        unit="s",
        of=lambda costs: costs.train_seconds,
        show=lambda value: duration(value) if value >= 10 else f"{value:.2g} s",
        note="Training time does not include evaluation.",
        is_shared=True,
    ),
    "memory": Cost(
        title="peak memory",
        unit="MB",
        of=lambda costs: _in(1e6, costs.peak_memory_bytes),
        show=lambda value: data_size(1e6 * value),
        is_shared=True,
    ),
    "disk": Cost(
        title="size on disk",
        unit="MB",
        of=lambda costs: _in(1e6, costs.artifact_bytes),
        show=lambda value: data_size(1e6 * value),
        note="The size on disk is that of the trained adapter, or of what the method changed.",
    ),
    "latency": Cost(
        title="inference time",
        unit="ms an example",
        of=lambda costs: _in(1e-3, costs.inference_seconds_per_example),
        show=lambda value: f"{value:.3g} ms",
        note="Inference time is an example's share of the fastest pass over the scored rows.",
    ),
    "flops": Cost(
        title="training operations",
        unit="TFLOP",
        of=lambda costs: _in(1e12, costs.train_flops),
        show=lambda value: f"{value:,.3g} TFLOP",
        note="Operations are those of the matrix products that training needs, without padding.",
    ),
}


def folds_cost_note(view: StudyView) -> str:
    """Return a sentence on the trainings to which costs refer with folds; "" without folds."""
    folds = view.spec.folds
    if folds is None:
        return ""
    return (
        f"Each cost is that of one training, on {folds - 1} of {folds} folds: all folds of a seed "
        f"take {folds} times its time, and a training on all rows takes {folds / (folds - 1):.3g} "
        "times."
    )


def mean_cost(view: StudyView, arm: Arm, task: Task, name: CostName) -> float | None:
    """Return the mean cost of the arm's done trials on the task; None if it is unknown for all.

    Where a cost may be a share of a group's, it is that of the trials that trained alone, if any
    did.
    """
    _, values = _measured(view, arm, task, name)
    return fmean(values) if values else None


def is_in_group(view: StudyView, arm: Arm, tasks: Sequence[Task], name: CostName) -> bool:
    """Return whether the arm's cost is known only as shares of groups on one of the tasks."""
    return any(_measured(view, arm, task, name)[0] for task in tasks)


def cost_words(
    view: StudyView, arm: Arm, tasks: Sequence[Task], name: CostName, cost: float
) -> str:
    """Return the arm's cost as it is shown, marked where it is a share of a group's."""
    shown = COSTS[name].show(cost)
    return f"{shown} {IN_GROUP}" if is_in_group(view, arm, tasks, name) else shown


def group_note(records: Sequence[TrialRecord]) -> str:
    """Return a sentence on the trials that shared steps with others; "" if none did."""
    grouped = [record.costs.together for record in records if record.costs is not None]
    grouped = [together for together in grouped if together > 1]
    if not grouped:
        return ""
    return (
        f"{counted(len(grouped), 'trial')} trained in groups of up to {max(grouped)} in one step: "
        "their seconds, memory and energy are shares of the group's, by their tokens, and say "
        "little of an arm alone."
    )


def _measured(view: StudyView, arm: Arm, task: Task, name: CostName) -> tuple[bool, list[float]]:
    """Return whether the costs of the arm's runs are shares of groups, and what they are.

    They are those of the trials that trained alone, if there are such.
    """
    cost = COSTS[name]
    every = [record.costs for record in view.done(arm, task) if record.costs is not None]
    every = [costs for costs in every if cost.of(costs) is not None]
    alone = [costs for costs in every if costs.together == 1] if cost.is_shared else every
    values = [cost.of(costs) for costs in alone or every]
    return bool(every) and not alone, [value for value in values if value is not None]


def total_cost(view: StudyView, arm: Arm, tasks: Sequence[Task], name: CostName) -> float | None:
    """Return the sum of the arm's mean costs over the tasks; None if any of them is unknown."""
    found = [mean_cost(view, arm, task, name) for task in tasks]
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


def is_dearer(view: StudyView, arm: Arm, other: Arm, tasks: Sequence[Task], name: CostName) -> bool:
    """Return whether the arm is shown to cost more than the other, over the tasks together.

    The cost varies between runs of the same arm, so it is compared by a one-sided Welch's t test of
    the runs at COST_LEVEL; if every run of each arm costs the same, any difference counts. Nothing
    is shown if the cost of either arm is unknown on a task, or known only as a share of a group's.
    """
    if any(is_in_group(view, one, tasks, name) for one in (arm, other)):
        return False
    runs, others = ([_measured(view, one, task, name)[1] for task in tasks] for one in (arm, other))
    if not all([*runs, *others]):
        return False
    return sum_is_larger(runs, others, COST_LEVEL)


def _in(unit: float, value: float | None) -> float | None:
    return None if value is None else value / unit
