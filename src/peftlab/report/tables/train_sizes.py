"""The best arm for each number of training rows, and the gain expected from twice as many."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.train_sizes import (
    curve,
    expected_on_twice,
    num_rows,
    size_words,
    views_by_size,
)
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.report.tables.advice import OPEN, advices_by_task
from peftlab.stats.power_law import NoPrediction
from peftlab.stats.summary import Summary
from peftlab.study import parts
from peftlab.study.arms import Arm
from peftlab.tasks.scores import score_words
from peftlab.tasks.spec import Task

ROWS, SCORE, EXPECTED = "rows", "score", "expected on twice the rows"


def best_by_size_table(view: StudyView, options: parts.AdvicePart) -> Table:
    """Return a row for each task and number of rows: the best mean there, and the arm to use.

    The arm to use is that of "What to use", asked of the trials of that size alone.
    """
    rows: list[list[str]] = []
    for task in view.tasks:
        for own in views_by_size(view):
            number = num_rows(own, own.arms, task)
            if number is None or all(task.name != one.name for one in own.tasks):
                continue
            (advice,) = [
                one for one in advices_by_task(own, options) if one.tasks[0].name == task.name
            ]
            best = advice.reference
            summary = own.summary(best, task) if best is not None else None
            use = OPEN if advice.chosen is None else advice.chosen.name
            if advice.safe is not None:
                use = f"{advice.safe.name} will do; {OPEN}"
            rows.append(
                [
                    task.name,
                    size_words(own, task),
                    Cell(f"{number:,.0f}", value=number),
                    own.label(best) if best is not None else NOTHING,
                    NOTHING if summary is None else _scored(task, summary),
                    use,
                    advice.lacking or "decided",
                ]
            )
    return Table(
        title="Which arm is best on how many rows",
        columns=["task", "train_size", ROWS, "best mean", SCORE, "to use", "why"],
        rows=rows,
        numbers=frozenset({ROWS, SCORE}),
        note="rows: those that a trial was trained on, without what is held out. best mean: the "
        "arm that is measured by, that with the best mean unless the study names one. to use: as "
        "under 'What to use', of the trials with so many rows alone; with several sizes it is "
        "asked several times, and each time the choice errs in at most 5% of studies.",
    )


def expected_table(view: StudyView, arms: Sequence[Arm]) -> Table:
    """Return a row for each task and arm: its score on the most rows, and that on twice as many."""
    rows: list[list[str]] = []
    for task in view.tasks:
        for arm in arms:
            points = curve(view, arm, task)
            if not points:
                continue
            row = [task.name, view.label(arm), _scored(task, points[-1].summary)]
            found = expected_on_twice(view, arm, task)
            if isinstance(found, NoPrediction):
                rows.append([*row, NOTHING, NOTHING, found.reason])
                continue
            middle, low, high = (
                score_words(task.main_metric, one, 1)
                for one in (found.merit, found.low, found.high)
            )
            gain = found.merit - points[-1].summary.mean
            rows.append(
                [
                    *row,
                    Cell(
                        f"{middle} [{low}, {high}]",
                        value=found.merit,
                        low=found.low,
                        high=found.high,
                    ),
                    Cell(f"{gain:+.1f}", value=gain),
                    "a power law fits",
                ]
            )
    return Table(
        title="What twice the rows would bring",
        columns=["task", "arm", SCORE, EXPECTED, "gain", "why"],
        rows=rows,
        numbers=frozenset({SCORE, EXPECTED, "gain"}),
        note="A power law a - b n^-c is found for the means by the number n of rows, and followed "
        "to twice the largest one. In brackets: 95% intervals, which hold the doubt of the law as "
        "of the scores. Nothing is said where the law does not fit (at 5%), or where scores do not "
        "rise; that it fits the sizes that were measured does not show that it goes on.",
    )


def _scored(task: Task, summary: Summary) -> str:
    middle, low, high = (
        score_words(task.main_metric, one, 1) for one in (summary.mean, summary.low, summary.high)
    )
    if not summary.has_interval:
        return Cell(middle, value=summary.mean)
    return Cell(f"{middle} [{low}, {high}]", value=summary.mean, low=summary.low, high=summary.high)
