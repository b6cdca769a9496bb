"""Every task by its name, where a new one joins, and those of a person's own."""

from __future__ import annotations

from functools import lru_cache

from peftlab.core.registry import Registry
from peftlab.core.types import TaskDefinition, Trial
from peftlab.tasks.demo import DEMO
from peftlab.tasks.glue import GLUE
from peftlab.tasks.spec import Task

TASKS = Registry[Task]("task")
for _task in (*GLUE, *DEMO):
    TASKS.add(_task.name, _task)


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
    )
