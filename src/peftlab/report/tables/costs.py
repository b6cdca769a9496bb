"""The table of the arms' costs on each task."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.costs import COSTS, cost_words, folds_cost_note, group_note, mean_cost
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName
from peftlab.tasks.spec import Task


def costs_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """Return a table of mean costs over seeds, a row for each arm and task; None without costs.

    Costs that were measured in no trial have no column.
    """
    cells = [(arm, task) for task in view.tasks for arm in arms]
    found = {name: [mean_cost(view, arm, task, name) for arm, task in cells] for name in COSTS}
    names = [name for name, values in found.items() if any(v is not None for v in values)]
    rows = [
        [
            view.label(arm),
            task.name,
            *(_cell(view, arm, task, name, found[name][index]) for name in names),
        ]
        for index, (arm, task) in enumerate(cells)
        if any(found[name][index] is not None for name in names)
    ]
    if not rows:
        return None
    titles = [COSTS[name].title for name in names]
    notes = ["Means over the seeds.", folds_cost_note(view), group_note(view.records)]
    notes += [COSTS[name].note for name in names]
    return Table(
        title="What the arms cost",
        columns=["arm", "task", *titles],
        rows=rows,
        numbers=frozenset(titles),
        units={COSTS[name].title: COSTS[name].unit for name in names if COSTS[name].unit},
        note=" ".join(filter(None, notes)),
    )


def _cell(view: StudyView, arm: Arm, task: Task, name: CostName, cost: float | None) -> str:
    if cost is None:
        return NOTHING
    return Cell(cost_words(view, arm, [task], name, cost), value=cost)
