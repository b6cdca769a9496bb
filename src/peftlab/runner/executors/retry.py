"""The rules by which trials whose process died are tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from peftlab.core.errors import first_line
from peftlab.core.trial import Trial
from peftlab.engine.events import Failed, Listener, Remarked
from peftlab.engine.job import Job

POLL_SECONDS = 0.2
"""The seconds that an executor waits for messages before it checks on its processes."""
SECONDS_TO_STOP = 120.0
"""The seconds that a process may take to save its trial when it is asked to stop."""
SECONDS_TO_START = 1800.0
"""The least seconds allowed for a process to import what it needs, on a busy machine."""
MOST_KILLS = 3
"""A trial whose process is killed from outside so often has failed."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """The end of a process: its cause in words, whether it was killed, and if memory ran out."""

    cause: str
    is_killed: bool
    is_memory: bool


def seconds_of_silence(stall_seconds: float, *, is_ready: bool) -> float:
    """Return the seconds for which a process may say nothing; more until it is ready."""
    return stall_seconds if is_ready else max(stall_seconds, SECONDS_TO_START)


def no_progress(seconds: float) -> str:
    """Return the cause of death, in words, of a process that said nothing for `seconds`."""
    return f"no progress for {seconds:.0f} s; its process was ended"


@dataclass
class Retries:
    """The number of times that the process of each trial was killed so far."""

    kills: Counter[str] = field(default_factory=Counter)

    def after(
        self, job: Job, open_trials: Collection[str], death: Death, tell: Listener
    ) -> list[Job]:
        """Return the jobs that run again what a job whose process died had left; tell the listener.

        Trials that had ended are not run again. If memory ran out, half as many trials of a group
        train in one step, other trials are split into two jobs, and a trial that was alone is run
        with half as many examples at a time. After a crash of its own, a trial that was alone is
        not tried again, since it would crash again; others are each tried alone.
        """
        open_job = job.of_trials(open_trials)
        again = self._another(open_job, death)
        kept = {trial.id for one in again for trial in one.trials}
        cause = first_line(death.cause)
        for trial in open_job.trials:
            if trial.id in kept:
                text = f"trial {trial.id}: {cause}; it is tried again"
                tell(Remarked(trial_id=trial.id, text=text))
            else:
                tell(Failed(trial_id=trial.id, error=death.cause))
        return again

    def _another(self, job: Job, death: Death) -> list[Job]:
        trials = job.trials
        if death.is_memory and len(trials) > 1 and job.together > 1:
            return [job.with_settings(together=job.together // 2)]
        if death.is_memory and len(trials) > 1:
            middle = len(trials) // 2
            return [_of(job, trials[:middle]), _of(job, trials[middle:])]
        if death.is_memory:
            size = job.micro_batch or trials[0].training.per_device_train_batch_size
            return [job.with_settings(micro_batch=(size + 1) // 2)] if size > 1 else []
        if not death.is_killed:
            return [_of(job, (one,)) for one in trials] if len(trials) > 1 else []
        for trial in trials:
            self.kills[trial.id] += 1
        left = tuple(trial for trial in trials if self.kills[trial.id] < MOST_KILLS)
        return [_of(job, left)] if left else []


def _of(job: Job, trials: Sequence[Trial]) -> Job:
    return job.of_trials({trial.id for trial in trials})
