"""The interface of an engine: it trains a prepared trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from peftlab.core.trial import Trial
from peftlab.engine.clock import Clock
from peftlab.engine.devices.base import Device
from peftlab.engine.energy import Energy
from peftlab.engine.events import Failed, Finished, Listener, Paused
from peftlab.engine.frozen import CachedLayers
from peftlab.engine.job import Job
from peftlab.engine.prepare import Prepared
from peftlab.engine.reported import ReportedEvaluation
from peftlab.engine.tally import Tally


@dataclass(frozen=True, kw_only=True)
class TrialRun:
    """The context in which a trial is trained: its job, its device and its listener.

    The engine calls `on_saved` whenever it has written a checkpoint.
    """

    trial: Trial
    job: Job
    device: Device
    tell: Listener
    best: ReportedEvaluation
    energy: Energy
    clock: Clock = field(default_factory=Clock)
    on_saved: Callable[[], None] = lambda: None

    @property
    def folder(self) -> Path:
        """The folder of the trial's artifacts."""
        return self.job.folder(self.trial)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The facts about a training that has ended or paused.

    `path` says how batches were computed, `pads` whether their padding was computed too, and
    `cached` which frozen layers ran only once for all epochs.
    """

    tally: Tally
    path: str
    pads: bool
    cached: CachedLayers | None = None


OnSaved = Callable[[Trial], None]
"""A function that is called when a checkpoint or the last artifact of a trial has been written."""
OnEnd = Callable[[Finished | Paused | Failed], None]
"""A function that is called when a trial has ended or pauses."""
TrainGroup = Callable[[Sequence[Trial], Job, Listener, OnSaved, OnEnd], None]
"""train_group(trials, job, tell, on_saved, on_end) runs trials of a job that may share steps
(grouping.py), up to `job.together` of them at once.

An error of a trial is the end of that trial alone. Raises UserError, StorageError and
KeyboardInterrupt once the state of each trial in training is saved.
"""


class Engine(Protocol):
    """A way of training. All engines take the same steps on the same rows; a new engine is
    registered in engine/registry.py."""

    def train(self, prepared: Prepared, run: TrialRun) -> Trained:
        """Train the prepared module in place and send an event for everything that happens.

        The energy is measured over the time spent within `run.energy`. Raises TrialError if the
        training diverges, and KeyboardInterrupt if the process is asked to stop.
        """
