"""The table of scores that papers report on the study's tasks."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.published import Published
from peftlab.report.pages.blocks import NOTHING, Table
from peftlab.tasks.spec import Task


def published_table(tasks: Sequence[Task], published: Sequence[Published]) -> Table | None:
    """A row a published row, a column a task and metric; None where none is of these tasks."""
    columns = {
        (task.name, metric): f"{task.name} {metric.replace('_', ' ')}"
        for task in tasks
        for metric in dict.fromkeys(
            one.scores[task.name].metric for one in published if task.name in one.scores
        )
    }
    rows = [
        [
            one.method,
            one.checkpoint,
            *(_cell(one, task, metric) for task, metric in columns),
            one.split,
            one.selection,
            one.source,
        ]
        for one in published
        if any(task in one.scores for task, _ in columns)
    ]
    if not rows:
        return None
    return Table(
        title="Published scores",
        columns=["method", "checkpoint", *columns.values(), "split", "selection", "source"],
        rows=rows,
        numbers=frozenset(columns.values()),
        note="Points, as the sources report them: other checkpoints, settings and rules of "
        "selection than this study's. They are here for orientation, not for comparison.",
    )


def _cell(one: Published, task: str, metric: str) -> str:
    score = one.scores.get(task)
    return NOTHING if score is None or score.metric != metric else f"{score.value:.2f}"
