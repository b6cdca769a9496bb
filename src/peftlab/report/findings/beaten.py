"""The arms that are shown to be beaten: another arm scores more on the task and costs less.

Both must be shown: the score by the test that is valid after the looks at the two arms, adjusted
for the number of such tests on the task (Holm), and the cost beyond its noise. Arms that cannot be
told apart do not beat each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from peftlab.report.findings.costs import is_dearer, mean_cost
from peftlab.report.findings.evidence import least_seeds
from peftlab.report.findings.learning import has_learned
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.view import StudyView
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName
from peftlab.tasks.spec import Task


def beaten_by(
    view: StudyView, arms: Sequence[Arm], task: Task, cost: CostName
) -> dict[str, list[Arm]]:
    """Return, by the name of each arm, the arms that are shown to beat it in score and cost.

    An arm that cannot be used, since runs of it failed or it is not shown to have learned the task,
    beats none; an arm of unknown cost neither beats any nor is beaten.
    """
    known = [arm for arm in arms if mean_cost(view, arm, task, cost) is not None]
    usable = [
        arm for arm in known if has_learned(view, arm, [task]) and not view.num_failed(arm, task)
    ]
    pairs = [
        (arm, other)
        for arm, other in itertools.product(usable, known)
        if arm.name != other.name and is_dearer(view, other, arm, [task], cost)
    ]
    adjusted = holm([_p_value(view, arm, other, task) for arm, other in pairs])
    found: dict[str, list[Arm]] = {arm.name: [] for arm in arms}
    for (arm, other), p_value in zip(pairs, adjusted, strict=True):
        if p_value <= LEVEL:
            found[other.name].append(arm)
    return found


def _p_value(view: StudyView, arm: Arm, other: Arm, task: Task) -> float:
    """Return the p value of the arm scoring no more than the other; 1 without evidence."""
    found = difference_shown(view, arm.name, other.name, [task])
    if found is None or found.estimate <= 0 or found.num_seeds < least_seeds(found):
        return 1.0
    return found.p_value
