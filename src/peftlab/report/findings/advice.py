"""What to use, as far as the trials can say: on each task, and on all of them together.

An arm is not worse than the reference if the lower end of the 95% interval of the difference
between the two (statistics.py) lies above minus the margin. Of the arms that are not worse,
the reference among them, the one that costs the least is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from peftlab.report.findings.costs import total_cost
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.study.expand import Arm
from peftlab.study.parts import CostName
from peftlab.study.spec import LEAST_SEEDS
from peftlab.tasks.spec import Task

FULL = "full"
"""The method that the others are measured by."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An arm beside the reference: arm less reference in points, None where it cannot be compared.

    `cost` is in the unit of the cost that decides, None where it is not known. An arm of which
    trials have failed is never `is_not_worse`: what is left of it flatters.
    """

    arm: Arm
    difference: Difference | None
    cost: float | None
    num_failed: int
    is_not_worse: bool


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What to use on these tasks: `chosen`, or none because of what `lacking` says.

    `candidates` are all arms but the reference, those that are not worse and the cheap ones first.
    """

    tasks: tuple[Task, ...]
    reference: Arm | None
    chosen: Arm | None
    lacking: str = ""
    candidates: tuple[Candidate, ...] = ()

    def of(self, arm: Arm) -> Candidate | None:
        """The candidate that is this arm."""
        return next((one for one in self.candidates if one.arm.name == arm.name), None)


def advise(
    view: StudyView, tasks: Sequence[Task], *, margin: float, reference: str | None, cost: CostName
) -> Advice:
    """The advice for the tasks together; differences are means over them, costs sums.

    `reference` names the arm to measure by: full fine-tuning if None, its best arm if there are
    several, or the best arm of all where there is none.
    """
    chosen_tasks = tuple(tasks)
    compared = [arm for arm in view.arms if all(view.done(arm, task) for task in tasks)]
    base = _reference(view, compared, tasks, reference)
    if base is None:
        where = ", ".join(task.name for task in tasks)
        lacking = f"{reference} is not measured" if reference else "no arm is measured"
        return Advice(
            tasks=chosen_tasks, reference=None, chosen=None, lacking=f"{lacking} on {where}"
        )
    candidates = sorted(
        (
            _candidate(view, arm, base, tasks, margin, cost)
            for arm in compared
            if arm.name != base.name
        ),
        key=lambda one: (not one.is_not_worse, one.cost is None, one.cost or 0.0),
    )
    lacking = _lacking(view, base, candidates, tasks)
    fits = [one for one in candidates if one.is_not_worse and one.cost is not None]
    own_cost = total_cost(view, base, tasks, cost)
    chosen = base
    if fits and (own_cost is None or (fits[0].cost or 0.0) < own_cost):
        chosen = fits[0].arm
    return Advice(
        tasks=chosen_tasks,
        reference=base,
        chosen=None if lacking else chosen,
        lacking=lacking,
        candidates=tuple(candidates),
    )


def _reference(
    view: StudyView, arms: Sequence[Arm], tasks: Sequence[Task], name: str | None
) -> Arm | None:
    if name is not None:
        return next((arm for arm in arms if arm.name == name), None)
    among = [arm for arm in arms if arm.method == FULL] or list(arms)
    return max(among, key=lambda arm: _mean_score(view, arm, tasks), default=None)


def _mean_score(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> float:
    summaries = [view.summary(arm, task) for task in tasks]
    return fmean(one.mean for one in summaries if one is not None)


def _candidate(
    view: StudyView,
    arm: Arm,
    base: Arm,
    tasks: Sequence[Task],
    margin: float,
    cost: CostName,
) -> Candidate:
    found = view.statistics.difference(arm.name, base.name, tasks)
    records = [record for task in tasks for record in view.of(arm, task)]
    num_failed = sum(record.status == "failed" for record in records)
    is_measured = found is not None and found.num_seeds >= LEAST_SEEDS and num_failed == 0
    return Candidate(
        arm=arm,
        difference=found,
        cost=total_cost(view, arm, tasks, cost),
        num_failed=num_failed,
        is_not_worse=found is not None and is_measured and found.low > -margin,
    )


def _lacking(
    view: StudyView, base: Arm, candidates: Sequence[Candidate], tasks: Sequence[Task]
) -> str:
    """Why nothing can be recommended; "" where something can."""
    if not candidates:
        return f"there is no other arm to compare {base.name} with"
    found = [one.difference for one in candidates if one.difference is not None]
    if not found:
        return (
            f"no arm can be compared with {base.name}: predictions are gone, or of other examples"
        )
    most = max(one.num_seeds for one in found)
    if most < LEAST_SEEDS:
        runs = "one seed is" if most == 1 else f"{most} seeds are"
        return (
            f"{runs} measured, and {LEAST_SEEDS} are the least that tell what an arm does from "
            "what its seed does"
        )
    for task in tasks:
        summary = view.summary(base, task)
        if summary is not None and summary.failed_share == 1:
            return (
                f"{base.name} has learned nothing on {task.name}: no run is better than one answer "
                "for all examples"
            )
    return ""
