"""What trials tell, stored as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from pydantic import JsonValue

from peftlab.core.errors import StorageError
from peftlab.core.measurements import EpochRecord
from peftlab.core.trial import Trial
from peftlab.data.leaks import LEAK
from peftlab.engine.run import Outcome
from peftlab.runner.executors.base import Listener
from peftlab.store.provenance import provenance
from peftlab.store.workspace import Workspace
from peftlab.study.task_rows import TaskRows


class Recorder:
    """Stores what trials tell, and then passes it on to the display.

    What is known of the tasks' rows is stored with each trial, as they were when it was trained.
    """

    def __init__(
        self, workspace: Workspace, display: Listener, rows: Mapping[str, TaskRows]
    ) -> None:
        self.workspace = workspace
        self.display = display
        self._of_task: dict[str, dict[str, JsonValue]] = {
            task: {LEAK: one.leak.to_json()} for task, one in rows.items()
        }

    def started(self, trial: Trial) -> None:
        self.workspace.start(trial.id, provenance() | self._of_task.get(trial.task, {}))
        self.display.started(trial)

    def began(self, trial: Trial, total_steps: int, total_epochs: int) -> None:
        self.display.began(trial, total_steps, total_epochs)

    def resumed(self, trial: Trial, step: int, epochs: Sequence[EpochRecord]) -> None:
        for record in epochs:
            self.workspace.add_epoch(trial.id, record)
        self.display.resumed(trial, step, epochs)

    def stepped(self, trial: Trial, step: int, loss: float) -> None:
        self.display.stepped(trial, step, loss)

    def ended_epoch(self, trial: Trial, record: EpochRecord) -> None:
        self.workspace.add_epoch(trial.id, record)
        self.display.ended_epoch(trial, record)

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        store = self.workspace.pause if outcome.is_paused else self.workspace.finish
        store(
            trial.id,
            outcome.costs,
            num_train_examples=outcome.num_train_examples,
            num_eval_examples=outcome.num_eval_examples,
        )
        self.display.finished(trial, outcome)

    def failed(self, trial: Trial, error: str) -> None:
        self.workspace.fail(trial.id, error)
        self.display.failed(trial, error)

    def interrupted(self, trial: Trial) -> None:
        with suppress(StorageError):  # the next run finds it as running and takes it up too
            self.workspace.interrupt(trial.id)
        self.display.interrupted(trial)

    def remarked(self, text: str) -> None:
        self.display.remarked(text)
