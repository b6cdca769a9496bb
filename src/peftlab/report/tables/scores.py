"""The table of scores: every metric, the last epoch and, named as that, the best one."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.blocks import Table
from peftlab.report.view import StudyView
from peftlab.stats.aggregate import Aggregate
from peftlab.study.expand import Arm


def scores_table(view: StudyView, arms: Sequence[Arm]) -> Table:
    """A row an arm; for each task its metrics, in points, as mean ± sd over the seeds."""
    columns = ["arm"]
    for task in view.tasks:
        for metric in task.metrics:
            columns.append(f"{task.name} {metric.replace('_', ' ')}")
        columns.append(f"{task.name} best epoch")
    numbers = frozenset(columns[1:])
    rows = []
    for arm in arms:
        row = [arm.name]
        for task in view.tasks:
            row += [_cell(view.score(arm, task, metric)) for metric in task.metrics]
            row.append(_cell(view.score(arm, task, best=True)))
        rows.append(row)
    several = len(view.spec.seeds) > 1
    return Table(
        title="Scores on dev",
        columns=columns,
        rows=rows,
        numbers=numbers,
        note="Points, after the last epoch"
        + (f"; mean ± standard deviation over {len(view.spec.seeds)} seeds. " if several else ". ")
        + "'best epoch' is the main metric at the epoch where it was highest on this same split: "
        "it flatters.",
    )


def _cell(summary: Aggregate | None) -> str:
    if summary is None:
        return "-"
    spread = "" if summary.sd is None else f" ± {summary.sd:.2f}"
    return f"{summary.mean:.2f}{spread}"
