"""What an executor is: it runs trials somewhere and tells the study's process how they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from peftlab.core.types import EpochRecord, Trial
from peftlab.engine.run import Outcome


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial with the folder for its artifacts and the folder of encoded data."""

    trial: Trial
    artifacts: Path
    cache: Path
    device: str


class Listener(Protocol):
    """Who is told; always called in the process that runs the study, in order for each trial."""

    def started(self, trial: Trial) -> None:
        """The trial begins."""

    def began(self, trial: Trial, total_steps: int, total_epochs: int) -> None:
        """Its data and model are there."""

    def stepped(self, trial: Trial, step: int, loss: float) -> None:
        """It has taken an optimizer step; not every one need be told."""

    def ended_epoch(self, trial: Trial, record: EpochRecord) -> None:
        """It has evaluated an epoch."""

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """It is done, its artifacts are in their folder."""

    def failed(self, trial: Trial, error: str) -> None:
        """It has ended by an error of its own."""

    def interrupted(self, trial: Trial) -> None:
        """It was stopped from outside."""


class Executor(Protocol):
    """Runs jobs to their ends."""

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run all jobs; a failure of one is told and leaves the others alone.

        UserError and KeyboardInterrupt end everything: the trials that were running are told as
        interrupted, then the exception goes on.
        """
