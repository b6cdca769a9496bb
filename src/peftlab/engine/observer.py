"""Who is told how a training goes on, while it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from peftlab.core.measurements import EpochRecord
from peftlab.data.predictions import Predictions


class Observer(Protocol):
    """The listener to one trial; called in the process that trains, in this order."""

    def began(self, total_steps: int, total_epochs: int) -> None:
        """Data and model are there; epoch 0 is about to be evaluated."""

    def resumed(self, step: int, epochs: Sequence[EpochRecord]) -> None:
        """It goes on behind this step instead; `epochs` are those that ended before."""

    def stepped(self, step: int, loss: float) -> None:
        """An optimizer step was taken; `step` counts from 1, `loss` is the batch's mean."""

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None:
        """An epoch (0: before training) was evaluated on the dev split, rows in its order."""


class SilentObserver:
    """An observer that does nothing: for tests and for use from Python."""

    def began(self, total_steps: int, total_epochs: int) -> None: ...

    def resumed(self, step: int, epochs: Sequence[EpochRecord]) -> None: ...

    def stepped(self, step: int, loss: float) -> None: ...

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None: ...
