"""Every task by its name, where a new one joins, and those of a person's own."""

from __future__ import annotations

from functools import lru_cache

from peftlab.core.errors import UserError
from peftlab.core.inputs import TaskDefinition
from peftlab.core.registry import Registry
from peftlab.core.trial import Trial
from peftlab.tasks.demo import DEMO
from peftlab.tasks.glue import GLUE
from peftlab.tasks.public import PUBLIC
from peftlab.tasks.spec import Task
from peftlab.tasks.superglue import SUPERGLUE

TASKS = Registry[Task]("task")
for _task in (*GLUE, *SUPERGLUE, *PUBLIC, *DEMO):
    TASKS.add(_task.name, _task)


def trained_task(name: str, *, where: str = "") -> Task:
    """The task that a study can train; UserError for one that trials of another task answer."""
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
    """The trial's task: its own definition's, or else the registered one (UnknownNameError)."""
    if trial.definition is None:
        return TASKS.get(trial.task, where=where)
    return own_task(trial.task, trial.definition)


@lru_cache(maxsize=1024)
def own_task(name: str, definition: TaskDefinition) -> Task:
    """A person's own task of that name; how many rows it has its files say."""
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
