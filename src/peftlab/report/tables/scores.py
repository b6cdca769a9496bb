"""The table of scores: every metric, the last epoch and, named as that, the best one."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.blocks import Table
from peftlab.report.view import StudyView
from peftlab.stats.aggregate import Aggregate
from peftlab.study.expand import Arm


def scores_table(view: StudyView, arms: Sequence[Arm]) -> Table:
    """A row an arm; for each task its metrics, in points, as mean ± sd over the seeds."""
    num_seeds = len(view.spec.seeds)
    spread = f"; mean ± standard deviation over {num_seeds} seeds" if num_seeds > 1 else ""
    columns = ["arm"]
    for task in view.tasks:
        for metric in task.metrics:
            columns.append(f"{task.name} {metric.replace('_', ' ')}")
        columns.append(f"{task.name} best epoch")
    numbers = frozenset(columns[1:])
    rows = []
    for arm in arms:
        row = [view.label(arm)]
        for task in view.tasks:
            shown = [view.score(arm, task, metric) for metric in task.metrics]
            shown.append(view.score(arm, task, best=True))
            row += [_cell(summary, num_seeds) for summary in shown]
        rows.append(row)
    note = (
        f"Points, after the last epoch{spread}. "
        "'best epoch' is the main metric at the epoch where it was highest on this same split: "
        "it flatters."
    )
    return Table(
        title="Scores on dev",
        columns=columns,
        rows=rows,
        numbers=numbers,
        note=" ".join(filter(None, (note, view.note(arms)))),
    )


def _cell(summary: Aggregate | None, num_seeds: int) -> str:
    if summary is None:
        return "-"
    spread = "" if summary.sd is None else f" ± {summary.sd:.2f}"
    part = f" ({summary.num_values} of {num_seeds})" if summary.num_values < num_seeds else ""
    return f"{summary.mean:.2f}{spread}{part}"
