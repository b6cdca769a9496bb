"""The words for the better of two scores, by the main metrics of the tasks.

Differences are above 0 if the first arm is better. In a loss, the better arm scores less, and over
tasks of both kinds the only word for it is "better".
"""

from __future__ import annotations

from collections.abc import Iterable

from peftlab.tasks.scores import greater_is_better
from peftlab.tasks.spec import Task


def of_losses(tasks: Iterable[Task]) -> bool:
    """Return whether lower is better in the main metric of any of the tasks."""
    return any(not greater_is_better(task.main_metric) for task in tasks)


def highest(tasks: Iterable[Task]) -> str:
    """Return the word for the better of two means."""
    return _word(tasks, "highest", "lowest", "best")


def points_more(tasks: Iterable[Task], *, is_better: bool) -> str:
    """Return the words for the direction of a difference, such as "points more"."""
    more, fewer = ("more", "fewer") if is_better else ("fewer", "more")
    better = "better" if is_better else "worse"
    return f"points {_word(tasks, more, fewer, better)}"


def better_note(tasks: Iterable[Task]) -> str:
    """Return a sentence on the metrics in which lower is better; "" if there are none.

    A difference in these is above 0 if the first arm scores less.
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
