"""The interface of an engine: it trains a prepared trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from peftlab.core.trial import Trial
from peftlab.engine.clock import Clock
from peftlab.engine.devices.base import Device
from peftlab.engine.energy import Energy
from peftlab.engine.events import Listener
from peftlab.engine.frozen import CachedLayers
from peftlab.engine.job import Job
from peftlab.engine.loop import Tally
from peftlab.engine.prepare import Prepared
from peftlab.engine.reported import ReportedEvaluation


@dataclass(frozen=True, kw_only=True)
class TrialRun:
    """A trial of a job on its way: where it runs, where its files go, and who is told.

    `on_saved` is to be called whenever a checkpoint has been written.
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
    """The facts of a training once it has ended or rests.

    `path` says how batches were computed, `pads` whether their padding was computed too, and
    `cached` which layers ran once for all epochs.
    """

    tally: Tally
    path: str
    pads: bool
    cached: CachedLayers | None = None


class Engine(Protocol):
    """A way of training. All engines take the same steps on the same rows; a new one joins in
    engine/registry.py."""

    def train(self, prepared: Prepared, run: TrialRun) -> Trained:
        """Train the prepared module in place, telling what happens.

        The time within `run.energy` is what the energy is measured of. Raises TrialError for a
        training that diverges, KeyboardInterrupt if the process is asked to stop.
        """
