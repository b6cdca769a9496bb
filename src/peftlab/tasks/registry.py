"""Every task by its name; a new one joins here."""

from __future__ import annotations

from peftlab.core.registry import Registry
from peftlab.tasks.demo import DEMO
from peftlab.tasks.glue import GLUE
from peftlab.tasks.spec import Task

TASKS = Registry[Task]("task")
for _task in (*GLUE, *DEMO):
    TASKS.add(_task.name, _task)
