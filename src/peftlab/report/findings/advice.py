"""What to use, as far as the trials can say: on each task, and on all of them together.

Only an arm that is shown to have learned each of the tasks (learning.py) is ever recommended, or
taken for the reference where one has. An arm is not worse than the reference if the lower end of
the 95% interval of the difference between the two (statistics.py) lies above minus the margin. Of
the arms that are not worse, the reference among them, the one that costs the least is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from peftlab.report.findings.costs import total_cost
from peftlab.report.findings.learning import did_not_learn, has_learned
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.stats.learned import State
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
    trials have failed is never `is_not_worse`: what is left of it flatters. Neither is one that is
    not shown to have learned each of the tasks; `unlearned` is its state on the first of those.
    `is_identical` says that it gives the same answers as the reference throughout.
    """

    arm: Arm
    difference: Difference | None
    cost: float | None
    num_failed: int
    is_not_worse: bool
    unlearned: State | None = None
    is_identical: bool = False


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
    several, or the best arm of all where there is none. One that is not shown to have learned the
    tasks is passed over where another is.
    """
    chosen_tasks = tuple(tasks)
    compared = [arm for arm in view.arms if all(view.done(arm, task) for task in tasks)]
    learned = [arm for arm in compared if has_learned(view, arm, tasks)]
    base = _reference(view, compared, tasks, reference)
    if base is not None and base not in learned and learned:
        base = _reference(view, learned, tasks, None)
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
    lacking = _lacking(base, candidates) or _few_learned(view, learned, compared, tasks)
    lacking = lacking or _too_few_seeds(candidates)
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
    unlearned = _unlearned(view, arm, tasks)
    return Candidate(
        arm=arm,
        difference=found,
        cost=total_cost(view, arm, tasks, cost),
        num_failed=num_failed,
        is_not_worse=found is not None
        and is_measured
        and unlearned is None
        and found.low > -margin,
        unlearned=unlearned,
        is_identical=view.statistics.are_identical(arm.name, base.name, tasks),
    )


def _unlearned(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> State | None:
    """Return the arm's state on the first task that it is not shown to have learned."""
    found = [view.learned(arm, task) for task in tasks]
    return next((one.state for one in found if one is not None and one.state != "learned"), None)


def _lacking(base: Arm, candidates: Sequence[Candidate]) -> str:
    """Why nothing can be compared; "" where something can."""
    if not candidates:
        return f"there is no other arm to compare {base.name} with"
    if all(one.difference is None for one in candidates):
        return (
            f"no arm can be compared with {base.name}: predictions are gone, or of other examples"
        )
    return ""


def _few_learned(
    view: StudyView, learned: Sequence[Arm], compared: Sequence[Arm], tasks: Sequence[Task]
) -> str:
    """That no arm is shown to have learned the tasks; "" where one is."""
    if learned:
        return ""
    for task in tasks:
        if all(did_not_learn(view, arm, task) for arm in compared):
            return f"the models did not learn {task.name}"
    where = tasks[0].name if len(tasks) == 1 else f"each of the {len(tasks)} tasks"
    return f"no arm is shown to have learned {where}"


def _too_few_seeds(candidates: Sequence[Candidate]) -> str:
    """That there are too few seeds; "" where there are enough."""
    most = max(one.difference.num_seeds for one in candidates if one.difference is not None)
    if most >= LEAST_SEEDS:
        return ""
    runs = "one seed is" if most == 1 else f"{most} seeds are"
    return (
        f"{runs} measured, and {LEAST_SEEDS} are the least that tell what an arm does from "
        "what its seed does"
    )
