"""The interface of an executor: it runs jobs somewhere and reports to the study's process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.engine.events import Listener
from peftlab.engine.job import Job


@dataclass(frozen=True, kw_only=True)
class JobSource:
    """The source of an executor's jobs.

    `next_job` gives the job to run next; None while there is none until another one ends, or no
    more at all. At most `most` jobs run at a time, on `device`. `known` are all jobs in their
    order, where they do not follow from how earlier ones went.
    """

    next_job: Callable[[], Job | None]
    device: str
    most: int
    known: Sequence[Job] = ()

    def spread(self, slots: int) -> JobSource:
        """Return the source with groups divided, so that each of so many places has its share."""
        if not self.known:
            return self
        return queued([*_spread(self.known, slots)], self.device)

    def longest_first(self) -> JobSource:
        """Return the source that gives the longest of the known jobs first."""
        if not self.known:
            return self
        return queued(sorted(self.known, key=lambda job: -job.seconds), self.device)


def queued(jobs: Sequence[Job], device: str) -> JobSource:
    """Return the source of jobs that are known beforehand.

    The trials of a group may come to run in as many places.
    """
    waiting = iter(jobs)
    most = sum(len(job.trials) if job.together > 1 else 1 for job in jobs)
    return JobSource(
        next_job=lambda: next(waiting, None), device=device, most=most, known=tuple(jobs)
    )


def _spread(jobs: Sequence[Job], slots: int) -> Iterator[Job]:
    """Yield the jobs, each group in as many parts as its share of the work has places.

    Neighbours stay together, so that parts have about the same tasks and arms.
    """
    is_timed = all(job.seconds for job in jobs)
    sizes = [job.seconds if is_timed else float(len(job.trials)) for job in jobs]
    for job, size in zip(jobs, sizes, strict=True):
        parts = round(slots * size / sum(sizes)) if job.together > 1 else 1
        yield from _divided(job, max(1, min(parts, len(job.trials))))


def _divided(job: Job, parts: int) -> Iterator[Job]:
    """Yield the job in parts of about equally many trials, or the job itself if there is one."""
    trials, num_trials = job.trials, len(job.trials)
    for part in range(parts):
        own = trials[part * num_trials // parts : (part + 1) * num_trials // parts]
        seconds = job.seconds * len(own) / num_trials
        yield job.of_trials({trial.id for trial in own}).with_settings(seconds=seconds)


class Executor(Protocol):
    """Runs jobs to their ends. A new executor joins in registry.py."""

    def run(self, source: JobSource, tell: Listener) -> None:
        """Run the jobs of the source until there are none.

        Every trial of a job is told as started when the job is given away, and once as ended. A
        failure of one leaves the others alone. A UserError, StorageError or KeyboardInterrupt ends
        everything: the trials that were running are told as interrupted, then it is raised.
        """


NUMBERS: Mapping[str, tuple[type | tuple[type, ...], float, str]] = {
    "workers": (int, 1, "a whole number from 1"),
    "threads": (int, 1, "a whole number from 1"),
    "gpus": ((int, float), 0.01, "a number from 0.01"),
    "stall_seconds": ((int, float), 1, "a number from 1"),
}
"""Options that are numbers: their types, the least of them, and both in words."""


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """The user's options for running trials; an executor takes those that concern it.

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


def use_threads(threads: int | None) -> None:
    """Compute with `threads` threads in this process from now on; None changes nothing."""
    if threads is None:
        return
    import torch

    from peftlab.models.fused.jit import share_threads

    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
        share_threads()
