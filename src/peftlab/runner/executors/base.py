"""What an executor is: it runs trials somewhere and tells the study's process how they go."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import torch

from peftlab.core.errors import PeftlabError, UnknownNameError, UserError
from peftlab.core.measurements import EpochRecord
from peftlab.core.training import EVERY_EPOCH, CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.engine.observer import Observer
from peftlab.engine.run import Outcome, run_trial
from peftlab.models.fused.jit import share_threads


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial, the folders for its artifacts and of encoded data, and how it is to be run."""

    trial: Trial
    artifacts: Path
    cache: Path
    device: str
    checkpoint_every: CheckpointEvery = EVERY_EPOCH
    threads: int | None = None
    """On a CPU; None for as many as torch takes."""
    seconds: float = 0.0
    """How long it will take, as far as that is known."""
    told_every: float = 0.2
    """Seconds between the steps that it tells; what else happens is told at once."""
    micro_batch: int | None = None
    """So many examples at once at most; None for as many as the trial's batches have."""
    stop_after: int | None = None
    """The epoch behind which the trial is to rest; None to train it to the end."""
    is_alone: bool = False
    """Whether no other trial runs on its machine meanwhile, so that the energy is the trial's."""


class Listener(Protocol):
    """Who is told; always called in the process that runs the study, in order for each trial."""

    def started(self, trial: Trial) -> None:
        """The trial begins."""

    def began(self, trial: Trial, total_steps: int, total_epochs: int) -> None:
        """Its data and model are there."""

    def resumed(self, trial: Trial, step: int, epochs: Sequence[EpochRecord]) -> None:
        """It goes on behind this step; `epochs` are those that had ended before."""

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

    def remarked(self, text: str) -> None:
        """Something that a person should know of how the trials are run."""


NextJob = Callable[[], Job | None]
"""Gives the job to run next; None while there is none until another one ends, or no more at all."""


class Executor(Protocol):
    """Runs jobs to their ends."""

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run all jobs; a failure of one is told and leaves the others alone.

        UserError, StorageError and KeyboardInterrupt end everything: the trials that were running
        are told as interrupted, then the exception goes on.
        """


class FedExecutor(Executor, Protocol):
    """An executor that also takes jobs of which each may follow from how earlier ones went."""

    def feed(self, next_job: NextJob, listener: Listener, *, device: str, most: int) -> None:
        """Run jobs as they come, at most so many at once, until there are none; ends as `run`."""


NUMBERS: Mapping[str, tuple[type | tuple[type, ...], float, str]] = {
    "workers": (int, 1, "a whole number from 1"),
    "threads": (int, 1, "a whole number from 1"),
    "gpus": ((int, float), 0.01, "a number from 0.01"),
    "stall_seconds": ((int, float), 1, "a number from 1"),
}
"""Options that are numbers: their types, the least of them, and both in words."""


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """What a user says of how trials are to be run; an executor takes what concerns it.

    `workers`, and `threads` of each trial on a CPU, are the executor's choice where they are None.
    `gpus` is what a trial takes on a cluster; several share one where it is below 1. A trial that
    tells nothing for `stall_seconds`, once its process has started, is ended. `address` is that of
    a cluster, `artifacts` the URL by which its nodes hand trials on; None where they share the
    workspace's folder.
    """

    workers: int | None = None
    threads: int | None = None
    gpus: float = 1.0
    stall_seconds: float = 1800.0
    address: str | None = None
    artifacts: str | None = None
    logs: Path = Path("logs")

    def __post_init__(self) -> None:
        for name, (kinds, least, allowed) in NUMBERS.items():
            value = getattr(self, name)
            if value is None and getattr(ExecutorOptions, name) is None:
                continue
            is_one = isinstance(value, kinds) and not isinstance(value, bool)
            if not is_one or not least <= value < math.inf:
                raise UserError(f"{name} = {value!r} is not valid", allowed=allowed)
        for name in ("address", "artifacts"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise UserError(f"{name} = {value!r} is not valid", allowed="a text")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ExecutorOptions:
        """Return the options given by name; UserError for an unknown name or a bad value."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownNameError("option", name, known)
        return cls(**given)


def run_job(job: Job, observer: Observer, on_saved: Callable[[], None] = lambda: None) -> Outcome:
    """Run a job's trial in this process; calls `on_saved` and raises as run_trial does."""
    return run_trial(
        job.trial,
        workspace_cache=job.cache,
        artifacts=job.artifacts,
        observer=observer,
        device=job.device,
        checkpoint_every=job.checkpoint_every,
        micro_batch=job.micro_batch,
        stop_after=job.stop_after,
        on_saved=on_saved,
        is_alone=job.is_alone,
    )


def use_threads(threads: int | None) -> None:
    """Have what runs in this process use so many threads from now on; None changes nothing."""
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
        share_threads()


def describe(error: Exception) -> str:
    """The cause of a failure: our own words for our own errors, else the end of the traceback."""
    if isinstance(error, PeftlabError):
        return str(error)
    frames = "".join(traceback.format_tb(error.__traceback__)[-3:])
    return f"{type(error).__name__}: {error}\n{frames}".rstrip()
