"""A job: one or several trials that are run together, and how."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from peftlab.core.training import EVERY_EPOCH, CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.core.validation import Frozen


class Job(Frozen):
    """What an executor is given to run, and a worker is told.

    A trial's artifacts go to its folder in `folders`, by its id; encoded data go to `cache`.
    `threads` are those on a CPU, None for as many as torch takes. `seconds` is how long the job
    will take, as far as that is known. Workers tell a trial's steps at most once in `told_every`
    seconds, and all else at once.
    `micro_batch` is the most examples that are computed at once, None for as many as the batches
    have. Trials rest after the first evaluation at or after the end of the epoch `stop_after`, or
    are trained to their ends. `together` is how many of the trials train in one step, as far as
    they can; with 1 they are run one after another. `is_alone` says that no other job runs on the
    machine meanwhile, so that the energy is the job's.
    """

    trials: Annotated[tuple[Trial, ...], Field(min_length=1)]
    folders: dict[str, Path]
    cache: Path
    device: str
    checkpoint_every: CheckpointEvery = EVERY_EPOCH
    threads: int | None = None
    seconds: float = 0.0
    told_every: float = 0.2
    micro_batch: int | None = None
    stop_after: int | None = None
    together: Annotated[int, Field(ge=1)] = 1
    is_alone: bool = False

    def folder(self, trial: Trial) -> Path:
        """Return the folder of the trial's artifacts."""
        return self.folders[trial.id]

    def with_settings(self, **changes: object) -> Job:
        """Return the job with other values of the fields."""
        return self.model_copy(update=changes)

    def of_trials(self, trial_ids: Collection[str]) -> Job:
        """Return the job of those of its trials alone, of which there must be one."""
        chosen = tuple(trial for trial in self.trials if trial.id in trial_ids)
        if not chosen:
            raise ValueError("a job has at least one trial")
        return self.with_settings(
            trials=chosen,
            folders={trial.id: self.folders[trial.id] for trial in chosen},
            together=min(self.together, len(chosen)),
        )
