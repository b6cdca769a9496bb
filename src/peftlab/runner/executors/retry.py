"""Whether a trial whose process died is tried again, and how."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from peftlab.core.errors import first_line
from peftlab.runner.executors.base import Job, Listener

POLL_SECONDS = 0.2
"""How long an executor waits for what its processes tell before it looks around."""
SECONDS_TO_STOP = 120.0
"""How long a process that is asked to stop may take to save its trial."""
SECONDS_TO_START = 1800.0
"""How long a process may at least take to import what it needs, on a machine that is busy."""
MOST_KILLS = 3
"""A trial whose process is killed from outside so often has failed."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """Why a process is gone: in words, whether it was killed, and that for want of memory."""

    cause: str
    is_killed: bool
    is_memory: bool


def seconds_of_silence(stall_seconds: float, *, is_ready: bool) -> float:
    """How long a process may say nothing, once it is ready and before that."""
    return stall_seconds if is_ready else max(stall_seconds, SECONDS_TO_START)


def no_progress(seconds: float) -> str:
    """The words for the end of a trial that told nothing for so long."""
    return f"no progress for {seconds:.0f} s; its process was ended"


@dataclass
class Retries:
    """How often each trial's process was killed so far."""

    kills: Counter[str] = field(default_factory=Counter)

    def after(self, job: Job, death: Death, listener: Listener) -> list[Job]:
        """What is to be run again of a job whose process died; the listener is told."""
        again = self._another(job, death)
        if again is None:
            listener.failed(job.trial, death.cause)
            return []
        cause = first_line(death.cause)
        listener.remarked(f"trial {job.trial.id}: {cause}; it is tried again")
        return [again]

    def _another(self, job: Job, death: Death) -> Job | None:
        """The job as it is to be tried again; None if it has failed.

        For want of memory it is tried with half as many examples at once; after a crash of its own
        it is not, since it would crash again.
        """
        if death.is_memory:
            size = job.micro_batch or job.trial.training.per_device_train_batch_size
            return replace(job, micro_batch=(size + 1) // 2) if size > 1 else None
        self.kills[job.trial.id] += 1
        return job if death.is_killed and self.kills[job.trial.id] < MOST_KILLS else None
