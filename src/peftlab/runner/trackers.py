"""The trackers, by accelerate's interface or their own: each opens a run for a trial.

Nothing of accelerate or of a tracker is imported before a run is opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peftlab.runner.tracker_run import Card, RunStatus, StepValues, TrackerRun

LIVE = frozenset({"tensorboard", "mlflow"})
"""The trackers whose runs can be open at the same time, and begun again.

The others keep one run in the process, and what they were told cannot be taken back: a trial's run
is opened, written and closed when it has ended.
"""


def open_run(tracker: str, card: Card) -> TrackerRun:
    """Begin the trial's run, replacing what an earlier attempt has left in a live tracker."""
    if tracker == "mlflow":
        from peftlab.runner.mlflow_run import MLflowRun

        return MLflowRun(card)
    return AccelerateRun(tracker, card)


class AccelerateRun:
    """A run by the interface that all of accelerate's trackers share."""

    def __init__(self, tracker: str, card: Card) -> None:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState(cpu=True)  # accelerate's log does not work without
        make = LOGGER_TYPE_TO_CLASS[tracker]
        folder = card.folder / tracker / card.study
        if make.requires_logging_directory:
            shutil.rmtree(folder / card.name, ignore_errors=True)
            self._tracker = make(card.name, logging_dir=str(folder))
        else:
            self._tracker = make(card.study, **_naming_arguments(tracker, card, folder))
        # One process writes: no need to ask a process group which of them is the main one.
        self._tracker.main_process_only = False
        self._tracker.start()
        self._tracker.store_init_configuration(card.config)

    def write(self, rows: Sequence[StepValues]) -> None:
        for row in rows:
            self._tracker.log(dict(row.values), step=row.step)

    def close(self, end: RunStatus) -> None:
        self._tracker.finish()


def _naming_arguments(tracker: str, card: Card, folder: Path) -> dict[str, Any]:
    """Return the arguments that name a run where the first argument is the project's."""
    names = {
        "wandb": {"name": card.name},
        "trackio": {"name": card.name},
        "swanlab": {"experiment_name": card.name},
        "clearml": {"task_name": card.name},
        "dvclive": {"dir": str(folder / card.name)},
    }
    return names.get(tracker, {})
