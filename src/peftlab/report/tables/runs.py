"""The table of what the runs of an arm came to: more than their mean."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.learning import LEARNED_NOTE
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.stats.learned import Learned, State
from peftlab.stats.summary import Summary
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task

COLUMNS = (
    "runs", "mean", "sd", "median", "middle half", "least", "greatest", "best of all", "failed",
    "best constant",
)  # fmt: skip
LEARNED = "learned"

STATES: dict[State, str] = {"learned": "yes", "did not learn": "no", "cannot tell": "cannot tell"}


def runs_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """A row an arm and task, of its main metric in points; None where nothing is measured."""
    rows = [
        [
            view.label(arm),
            task.name,
            *_cells(summary, len(view.of(arm, task))),
            *_learned_cells(view.learned(arm, task)),
        ]
        for task, arm, summary in _summaries(view, arms)
    ]
    if not rows:
        return None
    return Table(
        title="The runs of each arm",
        columns=["arm", "task", *COLUMNS, LEARNED],
        rows=rows,
        numbers=frozenset(COLUMNS),
        units={"failed": "%"},
        note=f"Main metric in points, {view.rule}. middle half: the mean without the lowest and "
        "the highest quarter. best of all: what the best of so many runs is expected to score. "
        "failed: runs without a score, or with none above that of the best constant answer, one "
        f"for all examples. {LEARNED_NOTE}",
    )


def _summaries(view: StudyView, arms: Sequence[Arm]) -> list[tuple[Task, Arm, Summary]]:
    return [
        (task, arm, summary)
        for task in view.tasks
        for arm in arms
        if (summary := view.summary(arm, task)) is not None
    ]


def _learned_cells(found: Learned | None) -> list[str]:
    """The score of the best constant answer, and whether the arm has learned."""
    score = None if found is None else found.constant
    return [
        NOTHING if score is None else Cell(f"{score:.2f}", value=score),
        NOTHING if found is None else STATES[found.state],
    ]


def _cells(summary: Summary, num_runs: int) -> list[str]:
    part = f"{summary.num_values} of {num_runs}" if summary.num_values < num_runs else ""
    values = (
        summary.mean, summary.sd, summary.median, summary.iqm, summary.least, summary.greatest,
        summary.best_of[-1],
    )  # fmt: skip
    return [
        Cell(part or str(num_runs), value=summary.num_values),
        *(NOTHING if value is None else Cell(f"{value:.2f}", value=value) for value in values),
        Cell(f"{summary.failed_share:.0%}", value=100 * summary.failed_share),
    ]
