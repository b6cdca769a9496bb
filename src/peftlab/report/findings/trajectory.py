"""The difference on which a question hangs, after each number of seeds that it has had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from peftlab.report.findings.questions import Question
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference, difference
from peftlab.stats.resample import Resampled, mean_over_tasks

FIRST = 2
"""The fewest seeds of which there is a spread."""


def trajectory(view: StudyView, question: Question) -> Iterator[tuple[int, Difference]]:
    """Yield the number of seeds and the difference with so many, of a question's two arms.

    Seeds come in the order of the plan; those that the arms share count.
    """
    if question.pair is None or question.found is None:
        return
    sides = [_over_tasks(view, arm, question) for arm in question.pair]
    if sides[0] is None or sides[1] is None:
        return
    left, right = sides[0], sides[1]
    common = [seed for seed in left.seeds if seed in right.seeds]
    for num in range(FIRST, len(common) + 1):
        found = difference(left.of_seeds(common[:num]), right.of_seeds(common[:num]))
        yield num, replace(found, is_always_valid=True)


def _over_tasks(view: StudyView, arm: str, question: Question) -> Resampled | None:
    """Return the arm's merits under resamples, the mean over the question's tasks."""
    drawn = [view.statistics.resampled(arm, task) for task in question.tasks]
    known = [one for one in drawn if one is not None]
    return mean_over_tasks(known) if known and len(known) == len(drawn) else None
