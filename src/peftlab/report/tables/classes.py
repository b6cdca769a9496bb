"""The tables of classes: the scores of each arm on each class."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.classes import ClassScore, class_scores, worst_classes
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Cell, Table
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task

MOST_CLASSES = 10
"""With more classes than this, the worst ones are shown first in a table of their own."""
NUMBERS = ("precision", "recall", "F1", "support")
NOTE = (
    "In points, means over seeds; a class that is never predicted has a precision of 0, and one "
    "without examples has a recall of 0. support: scored examples of the class."
)


def classes_tables(view: StudyView, arms: Sequence[Arm], task: Task) -> list[Table]:
    """Return a table with a row for each class and arm; none for a task without classes.

    If there are more than MOST_CLASSES, a table of those with the lowest F1 comes first, with the
    intervals, which would take long for all classes.
    """
    if len(task.labels) <= MOST_CLASSES:
        every = class_scores(view, arms, task, within=task.labels)
        note = f"{NOTE} {_interval_words(view)}"
        return [_table(f"The classes of {task.name}", every, note)] if every else []
    every = class_scores(view, arms, task)
    if not every:
        return []
    names = worst_classes(every, MOST_CLASSES)
    of_worst = class_scores(view, arms, task, within=names)
    of_worst.sort(key=lambda one: names.index(one.label))
    worst = f"The {MOST_CLASSES} of {len(task.labels)} classes of {task.name} with the lowest F1"
    note = f"By the mean over these arms. {NOTE} {_interval_words(view)}"
    return [_table(worst, of_worst, note), _table(f"All classes of {task.name}", every, NOTE)]


def _interval_words(view: StudyView) -> str:
    if view.spec.folds is None:
        return "F1 with its 95% interval."
    return (
        "F1 with its 95% interval, which holds the noise of folds. "
        "A class that a fold lacks has no interval."
    )


def _table(title: str, scores: Sequence[ClassScore], note: str) -> Table:
    return Table(
        title=title,
        columns=["class", "arm", *NUMBERS],
        rows=[
            [
                one.label,
                one.arm,
                *(Cell(f"{value:.1f}", value=value) for value in (one.precision, one.recall)),
                _f1(one),
                Cell(f"{one.support:,}", value=one.support),
            ]
            for one in scores
        ],
        numbers=frozenset(NUMBERS),
        note=note,
    )


def _f1(one: ClassScore) -> Cell:
    if one.low is None or one.high is None:
        return Cell(f"{one.f1:.1f}", value=one.f1)
    shown = f"{one.f1:.1f} [{one.low:.1f}, {one.high:.1f}]"
    return Cell(shown, value=one.f1, low=one.low, high=one.high)
