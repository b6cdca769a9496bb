"""Words for which of two scores is the better one, by the main metrics of the tasks.

Differences are above 0 where the first arm is the better one. By a loss it is the one that scores
less, and over tasks of both kinds there is no word for it but "better".
"""

from __future__ import annotations

from collections.abc import Iterable

from peftlab.core.scores import greater_is_better
from peftlab.tasks.spec import Task


def of_losses(tasks: Iterable[Task]) -> bool:
    """Return whether lower is better by the main metric of one of the tasks."""
    return any(not greater_is_better(task.main_metric) for task in tasks)


def highest(tasks: Iterable[Task]) -> str:
    """Return the word for the better of two means."""
    return _word(tasks, "highest", "lowest", "best")


def points_more(tasks: Iterable[Task], *, is_better: bool) -> str:
    """Return the direction of a difference in words: "points more than", as its sign and the
    metrics have it."""
    more, fewer = ("more", "fewer") if is_better else ("fewer", "more")
    better = "better" if is_better else "worse"
    return f"points {_word(tasks, more, fewer, better)}"


def better_note(tasks: Iterable[Task]) -> str:
    """Return a sentence on the metrics of which lower is better; "" where there are none.

    A difference by these is above 0 where the first arm scores less.
    """
    losses = dict.fromkeys(
        task.main_metric for task in tasks if not greater_is_better(task.main_metric)
    )
    if not losses:
        return ""
    names = ", ".join(name.replace("_", " ") for name in losses)
    return f" Of {names} lower is better: a difference is above 0 where the first one scores less."


def _word(tasks: Iterable[Task], greater: str, less: str, mixed: str) -> str:
    kinds = {greater_is_better(task.main_metric) for task in tasks}
    if kinds == {False}:
        return less
    return mixed if len(kinds) > 1 else greater
