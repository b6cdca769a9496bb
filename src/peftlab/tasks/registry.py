"""Every task by its name, with a place for new ones, and users' own tasks."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.registry import Registry
from peftlab.tasks.demo import DEMO
from peftlab.tasks.glue import GLUE
from peftlab.tasks.public import PUBLIC
from peftlab.tasks.spec import Task
from peftlab.tasks.superglue import SUPERGLUE

if TYPE_CHECKING:
    from peftlab.core.inputs import TaskDefinition
    from peftlab.core.trial import Trial

TASKS = Registry[Task]("task")
for _task in (*GLUE, *SUPERGLUE, *PUBLIC, *DEMO):
    TASKS.add(_task.name, _task)


def trained_task(name: str, *, where: str = "") -> Task:
    """Return the task that a study can train; raise UserError if another task's models answer
    it."""
    task = TASKS.get(name, where=where)
    if task.answered_by is not None:
        raise UserError(
            f"the task '{name}' has no training of its own: trials of '{task.answered_by}' answer "
            "it",
            where=where,
            allowed=", ".join(one.name for one in TASKS if one.answered_by is None),
        )
    return task


def task_of(trial: Trial, *, where: str = "") -> Task:
    """Return the trial's task: as it defines it, or else the registered one (UnknownNameError)."""
    if trial.definition is None:
        return TASKS.get(trial.task, where=where)
    return own_task(trial.task, trial.definition)


@lru_cache(maxsize=1024)
def own_task(name: str, definition: TaskDefinition) -> Task:
    """Return the user's own task of that name, whose files say how many rows it has."""
    return Task(
        name=name,
        title=f"{name}: a task of your own",
        labels=definition.labels,
        metrics=definition.metrics,
        texts=definition.texts,
        num_train=0,
        num_dev=0,
        problem_type=definition.problem_type,
        metric_sources=definition.metric_sources,
    )
