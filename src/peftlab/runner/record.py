"""The events of trials, stored as they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from pydantic import JsonValue

from peftlab.core.errors import StorageError
from peftlab.data.leaks import LEAK
from peftlab.engine.events import (
    Evaluated,
    Event,
    Failed,
    Finished,
    Interrupted,
    Paused,
    Resumed,
    Started,
)
from peftlab.store.provenance import provenance
from peftlab.store.workspace import Workspace
from peftlab.study.task_rows import TaskRows


class Recorder:
    """A listener that stores the events of trials.

    What is known of the tasks' rows is stored with each trial, as they were when it was trained.
    """

    def __init__(self, workspace: Workspace, rows: Mapping[str, TaskRows]) -> None:
        self.workspace = workspace
        self._of_task: dict[str, dict[str, JsonValue]] = {
            task: {LEAK: one.leak.to_json()} for task, one in rows.items()
        }

    def __call__(self, event: Event) -> None:
        """Store the event. Raises StorageError where that cannot be."""
        match event:
            case Started(trial=trial):
                self.workspace.start(trial.id, provenance() | self._of_task.get(trial.task, {}))
            case Resumed(trial_id=trial_id, evaluations=evaluations):
                for evaluation in evaluations:
                    self.workspace.add_evaluation(trial_id, evaluation)
            case Evaluated(trial_id=trial_id, evaluation=evaluation):
                self.workspace.add_evaluation(trial_id, evaluation)
            case Finished() | Paused():
                is_done = isinstance(event, Finished)
                store = self.workspace.finish if is_done else self.workspace.pause
                store(
                    event.trial_id,
                    event.costs,
                    num_train_examples=event.num_train_examples,
                    num_eval_examples=event.num_eval_examples,
                )
            case Failed(trial_id=trial_id, error=error):
                self.workspace.fail(trial_id, error)
            case Interrupted(trial_id=trial_id):
                # The next run finds it as running and takes it up too.
                with suppress(StorageError):
                    self.workspace.interrupt(trial_id)
