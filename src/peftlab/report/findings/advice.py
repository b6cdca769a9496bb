"""The advice on which arm to use, as far as the trials allow: on each task, and on all together.

An arm can be used if it is shown to be no more than the margin below the best arm, whichever that
is, with 95% confidence for all arms together (stats/best.py). The cheapest of these arms is chosen;
among arms whose costs are not shown to differ, it is the arm with the fewest trainable parameters.
The chosen arm is recommended unless an arm that would be preferred to it may be as good, since it
is shown neither to be so near the best nor to be worse than the chosen arm. Otherwise chance would
decide which of several equal arms is recommended. Only an arm that is shown to have learned each of
the tasks (learning.py), and has no failed run, can be used. The best arm may be any that learned,
even with failed runs, and any that may have learned and has a higher mean than every usable arm. A
study may name the arm to measure by instead of the best.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from peftlab.core.words import counted
from peftlab.report.findings.better_words import highest
from peftlab.report.findings.costs import is_dearer, total_cost
from peftlab.report.findings.evidence import least_seeds, listed, points_words
from peftlab.report.findings.learning import did_not_learn, has_learned
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.view import StudyView
from peftlab.stats.best import near_best_p
from peftlab.stats.compare import Difference
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL
from peftlab.stats.state import LearningState
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName
from peftlab.study.spec import LEAST_SEEDS
from peftlab.tasks.scores import sign_of
from peftlab.tasks.spec import Task

WORSE_LEVEL = 0.02
"""The level of the test that an arm preferred to the chosen arm is worse. At 5%, two studies of ten
seeds recommend the same of three equal arms in 83 to 85 of 100 cases."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An arm compared with the reference.

    `difference` is arm minus reference in points, None if they cannot be compared. `cost` is in the
    unit of the deciding cost, None if it is not known. `is_near` says that the arm is shown to be
    no more than the margin below the best arm, or below the arm that the study measures by. It is
    False for an arm with `num_failed` trials, since its other trials flatter it, and for an arm
    that is not shown to have learned each task; `unlearned` is its state on the first such task.
    `is_identical` says that the arm gives the same answers as the reference throughout.
    """

    arm: Arm
    difference: Difference | None
    cost: float | None
    num_failed: int
    is_near: bool
    unlearned: LearningState | None = None
    is_identical: bool = False


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The advice for these tasks: the `chosen` arm, or the reason why there is none in `lacking`.

    `reference` is the arm with the best mean or, if `is_named`, the arm that the study measures by.
    `missing` holds the arms without a finished run on some task. `near` holds the arms that can be
    used, which may include the reference; `candidates` are all arms but the reference, with usable
    and cheap ones first. `num_failed` is the number of failed trials of the reference, which cannot
    be used if there are any, and `unlearned` is its state on the first task that it is not shown to
    have learned. `safe` is a usable arm if none is recommended because a cheaper one may be as
    good. `passed_by` names the arm that the study measures by if another took its place.
    """

    tasks: tuple[Task, ...]
    reference: Arm | None
    chosen: Arm | None
    lacking: str = ""
    is_named: bool = False
    num_failed: int = 0
    unlearned: LearningState | None = None
    safe: Arm | None = None
    passed_by: str | None = None
    near: tuple[Arm, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    missing: tuple[Arm, ...] = ()

    def of(self, arm: Arm) -> Candidate | None:
        """Return the candidate of this arm."""
        return next((one for one in self.candidates if one.arm.name == arm.name), None)


def advise(
    view: StudyView, tasks: Sequence[Task], *, margin: float, reference: str | None, cost: CostName
) -> Advice:
    """Return the advice for the tasks together, by mean differences and summed costs.

    `reference` names the arm to measure by. The best arm is used if it is None, if the named arm is
    not shown to have learned the tasks and another is, or if the run leaves that arm out.
    """
    compared = [arm for arm in view.arms if all(view.has_run(arm, task) for task in tasks)]
    missing = tuple(arm for arm in view.arms if arm not in compared)
    learned = [arm for arm in compared if has_learned(view, arm, tasks)]
    taking_part = [arm for arm in learned if not _num_failed(view, arm, tasks)]
    named = next((arm for arm in compared if arm.name == reference), None)
    passed_by = None
    is_left_out = reference not in {arm.name for arm in view.arms}
    if is_left_out or (named is not None and named not in learned and learned):
        named, reference, passed_by = None, None, reference
    rivals = _rivals(view, compared, learned, taking_part, tasks)
    base = named if reference else max(
        rivals or compared, key=lambda arm: _mean_merit(view, arm, tasks), default=None
    )  # fmt: skip
    if base is None:
        where = ", ".join(task.name for task in tasks)
        lacking = f"{reference} is not measured" if reference else "no arm is measured"
        return Advice(
            tasks=tuple(tasks),
            reference=None,
            chosen=None,
            lacking=f"{lacking} on {where}",
            missing=missing,
        )
    others = [arm for arm in compared if arm.name != base.name]
    lacking = _lacking(view, base, others, tasks)
    lacking = lacking or _few_learned(view, learned, compared, tasks)
    lacking = lacking or _all_failed(view, taking_part, learned, tasks)
    lacking = lacking or _too_few_seeds(view, base, others, tasks, len(rivals) - 1)
    near: list[Arm] = []
    chosen, safe = None, None
    if not lacking:
        shown = _near(view, rivals, tasks, margin, base if reference else None)
        near = [arm for arm in shown if arm in taking_part]
        lacking = "" if near else _undecided(base, margin, tasks, is_named=bool(reference))
    if near:
        first = _cheapest(view, near, tasks, cost)
        before = _may_come_before(view, first, near, taking_part, tasks, cost)
        chosen, safe = (None, first) if before else (first, None)
        if before:
            within = within_words(margin, base if reference else None)
            lacking = _open_words(first, before, within)
    candidates = [_candidate(view, arm, base, tasks, near, cost) for arm in others]
    candidates.sort(key=lambda one: (not one.is_near, one.cost is None, one.cost or 0.0))
    return Advice(
        tasks=tuple(tasks),
        reference=base,
        chosen=chosen,
        lacking=lacking,
        is_named=bool(reference),
        num_failed=_num_failed(view, base, tasks),
        unlearned=_unlearned(view, base, tasks),
        safe=safe,
        passed_by=passed_by,
        near=tuple(near),
        candidates=tuple(candidates),
        missing=missing,
    )


def _rivals(
    view: StudyView,
    compared: Sequence[Arm],
    learned: Sequence[Arm],
    taking_part: Sequence[Arm],
    tasks: Sequence[Task],
) -> list[Arm]:
    """Return the arms that may be the best.

    The remaining runs of an arm flatter it if others failed, and an arm that is not shown to have
    learned may have collapsed runs: neither can be used, but either may be better than the usable
    arms.
    """
    best = max((_mean_merit(view, arm, tasks) for arm in taking_part), default=None)
    return [
        arm
        for arm in compared
        if arm in learned
        or (
            best is not None
            and not any(did_not_learn(view, arm, task) for task in tasks)
            and _mean_merit(view, arm, tasks) > best
        )
    ]


def _near(
    view: StudyView, arms: Sequence[Arm], tasks: Sequence[Task], margin: float, named: Arm | None
) -> list[Arm]:
    """Return the arms that are shown to be no more than the margin below the best, or `named`."""
    if named is not None:
        rivals = [arm for arm in arms if arm.name != named.name]
        adjusted = holm([_p_below(view, arm, named, tasks, margin)[0] for arm in rivals])
        itself = [arm for arm in arms if arm.name == named.name]
        return [*itself, *(arm for arm, p in zip(rivals, adjusted, strict=True) if p <= LEVEL)]
    p_values_AA = np.zeros((len(arms), len(arms)))
    for one, other in itertools.combinations(range(len(arms)), 2):
        both = _p_below(view, arms[one], arms[other], tasks, margin)
        p_values_AA[one, other], p_values_AA[other, one] = both
    adjusted = near_best_p(p_values_AA)
    return [arm for arm, p in zip(arms, adjusted, strict=True) if p <= LEVEL]


def _p_below(
    view: StudyView, arm: Arm, other: Arm, tasks: Sequence[Task], margin: float
) -> tuple[float, float]:
    """Return the p values of the arm being more than the margin below the other, and vice versa.

    Arms that give the same answers count as one arm: neither keeps the other from being used, even
    if the examples are too few to show how near they are.
    """
    found = _testable(view, arm, other, tasks)
    if found is None:
        return 1.0, 1.0
    if view.statistics.are_identical(arm.name, other.name, tasks):
        return 0.0, 0.0
    return found.p_above(-margin), found.p_below(margin)


def _cheapest(view: StudyView, near: Sequence[Arm], tasks: Sequence[Task], cost: CostName) -> Arm:
    """Return the cheapest arm, and among equally cheap arms the one with the fewest parameters.

    Ties go to the first arm in the study. An arm of unknown cost counts as the most expensive.
    """
    costs = {arm.name: total_cost(view, arm, tasks, cost) for arm in near}
    known = [arm for arm in near if costs[arm.name] is not None]
    least = min(known, key=lambda arm: costs[arm.name] or 0.0, default=None)
    alike = [
        arm for arm in known if least is not None and not is_dearer(view, arm, least, tasks, cost)
    ]
    return min(alike or near, key=lambda arm: total_cost(view, arm, tasks, "parameters") or 0.0)


def _may_come_before(
    view: StudyView,
    chosen: Arm,
    near: Sequence[Arm],
    arms: Sequence[Arm],
    tasks: Sequence[Task],
    cost: CostName,
) -> list[Arm]:
    """Return the arms that may be usable and would then be preferred to the chosen arm.

    They are shown neither to be near the best nor to be worse than the chosen arm.
    """
    return [
        arm
        for arm in arms
        if arm not in near
        and _cheapest(view, [chosen, arm], tasks, cost) == arm
        and not _is_worse(view, arm, chosen, tasks)
    ]


def _is_worse(view: StudyView, arm: Arm, other: Arm, tasks: Sequence[Task]) -> bool:
    found = _testable(view, arm, other, tasks)
    return found is not None and found.estimate < 0 and found.p_value <= WORSE_LEVEL


def _testable(view: StudyView, arm: Arm, other: Arm, tasks: Sequence[Task]) -> Difference | None:
    """Return arm minus other; None if they cannot be compared, or have too few seeds."""
    found = difference_shown(view, arm.name, other.name, tasks)
    return None if found is None or found.num_seeds < least_seeds(found) else found


def _open_words(safe: Arm, before: Sequence[Arm], within: str) -> str:
    names = listed([arm.name for arm in before])
    is_one = len(before) == 1
    costs, they = ("costs", "it") if is_one else ("cost", "they")
    return (
        f"{safe.name} stays {within}, but {names}, which {costs} less or as much, may be good "
        f"enough too: {they} could be shown neither to stay so near nor to be worse than "
        f"{safe.name}"
    )


def _mean_merit(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> float:
    """Return the mean score over the tasks, with signs such that higher is better."""
    summaries = [view.summary(arm, task) for task in tasks]
    return fmean(
        sign_of(task.main_metric) * one.mean
        for task, one in zip(tasks, summaries, strict=True)
        if one is not None
    )


def _num_failed(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> int:
    return sum(view.num_failed(arm, task) for task in tasks)


def _candidate(
    view: StudyView,
    arm: Arm,
    base: Arm,
    tasks: Sequence[Task],
    near: Sequence[Arm],
    cost: CostName,
) -> Candidate:
    return Candidate(
        arm=arm,
        difference=difference_shown(view, arm.name, base.name, tasks),
        cost=total_cost(view, arm, tasks, cost),
        num_failed=_num_failed(view, arm, tasks),
        is_near=arm in near,
        unlearned=_unlearned(view, arm, tasks),
        is_identical=view.statistics.are_identical(arm.name, base.name, tasks),
    )


def _unlearned(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> LearningState | None:
    """Return the arm's state on the first task that it is not shown to have learned, if any."""
    found = [view.learned(arm, task) for task in tasks]
    return next((one.state for one in found if one and one.state != "learned"), None)


def _lacking(view: StudyView, base: Arm, others: Sequence[Arm], tasks: Sequence[Task]) -> str:
    """Return the reason why nothing can be compared; "" if something can."""
    if not others:
        return f"there is no other arm to compare {base.name} with"
    if all(view.statistics.difference(arm.name, base.name, tasks) is None for arm in others):
        return (
            f"no arm can be compared with {base.name}: predictions are gone, or of other examples"
        )
    return ""


def _few_learned(
    view: StudyView, learned: Sequence[Arm], compared: Sequence[Arm], tasks: Sequence[Task]
) -> str:
    """Return the sentence that no arm is shown to have learned the tasks; "" if one is."""
    if learned:
        return ""
    for task in tasks:
        if all(did_not_learn(view, arm, task) for arm in compared):
            return f"the models did not learn {task.name}"
    return f"no arm is shown to have learned {_where(tasks)}"


def _all_failed(
    view: StudyView, taking_part: Sequence[Arm], learned: Sequence[Arm], tasks: Sequence[Task]
) -> str:
    """Return the sentence that every arm that learned has failed runs; "" if one has none."""
    if taking_part:
        return ""
    counts = [(_num_failed(view, arm, tasks), arm.name) for arm in learned]
    failed = "; ".join(f"{counted(num, 'run')} of {name}" for num, name in counts)
    return f"of every arm that learned {_where(tasks)} runs failed ({failed})"


def _too_few_seeds(
    view: StudyView, base: Arm, others: Sequence[Arm], tasks: Sequence[Task], num_tests: int
) -> str:
    """Return the sentence that the seeds are too few for so many tests; "" if there are enough."""
    every = [difference_shown(view, arm.name, base.name, tasks) for arm in others]
    known = [one for one in every if one is not None]
    if num_tests == 0:  # only one arm learned, and is compared with none
        known = [replace(one, is_always_valid=False) for one in known]
    if any(one.num_seeds >= least_seeds(one, num_tests) for one in known):
        return ""
    most = max(known, key=lambda one: one.num_seeds)
    runs = "one seed is" if most.num_seeds == 1 else f"{most.num_seeds} seeds are"
    if most.num_seeds >= LEAST_SEEDS or most.num_folds:
        return (
            f"{runs} measured; where the scores are looked at before all seeds are done, it takes "
            f"at least {least_seeds(most, num_tests)} to tell {counted(num_tests + 1, 'arm')} apart"
        )
    return (
        f"{runs} measured, and {LEAST_SEEDS} are the least that tell what an arm does from "
        "what its seed does"
    )


def _undecided(base: Arm, margin: float, tasks: Sequence[Task], *, is_named: bool) -> str:
    if is_named:
        return (
            f"no arm of which all runs are done could be shown to stay {within_words(margin, base)}"
        )
    return (
        f"no arm could be shown to stay {within_words(margin, None)}; {base.name} has the "
        f"{highest(tasks)} mean"
    )


def within_words(margin: float, named: Arm | None) -> str:
    """Return the words for the bound of a usable arm: near the named arm, or near the best."""
    return f"within {points_words(margin)} of {'the best arm' if named is None else named.name}"


def _where(tasks: Sequence[Task]) -> str:
    return tasks[0].name if len(tasks) == 1 else f"each of the {len(tasks)} tasks"
