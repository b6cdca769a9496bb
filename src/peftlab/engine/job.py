"""A job: one or several trials that are run together, and the settings for running them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from peftlab.core.training import EVERY_EPOCH, CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.core.validation import Frozen


class Job(Frozen):
    """A unit of work for an executor and its workers.

    A trial's artifacts go to its folder in `folders`, by its id; encoded data go to `cache`.
    `threads` is the number of CPU threads, None for torch's default. `seconds` is the estimated
    time of the job, 0 if it is not known. Workers report a trial's steps at most once every
    `told_every` seconds, and all other events at once. `micro_batch` is the largest number of
    examples computed at once, None for whole batches. Trials pause after the first evaluation at or
    after the end of the epoch `stop_after`, or are trained to their ends if it is None. `together`
    is the number of trials to train in one step, if they can be; with 1 they are run one after
    another. `is_alone` says that no other job runs on the machine meanwhile, so that the measured
    energy is the job's.
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
        """Return the job with other values for these fields."""
        return self.model_copy(update=changes)

    def of_trials(self, trial_ids: Collection[str]) -> Job:
        """Return the job with only these trials; at least one of them must be in it."""
        chosen = tuple(trial for trial in self.trials if trial.id in trial_ids)
        if not chosen:
            raise ValueError("a job has at least one trial")
        return self.with_settings(
            trials=chosen,
            folders={trial.id: self.folders[trial.id] for trial in chosen},
            together=min(self.together, len(chosen)),
        )
