"""One trial after another, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from peftlab.core.errors import StorageError, UserError
from peftlab.core.interrupts import stop_if_requested
from peftlab.core.measurements import EpochRecord
from peftlab.core.trial import Trial
from peftlab.data.predictions import Predictions
from peftlab.runner.executors.base import (
    ExecutorOptions,
    Job,
    Listener,
    NextJob,
    describe,
    run_job,
    use_threads,
)


class InlineExecutor:
    """The simplest executor, and the one that the others are compared with."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._threads = options.threads

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run the jobs in their order."""
        self._run(jobs, listener)

    def feed(self, next_job: NextJob, listener: Listener, *, device: str, most: int) -> None:
        """Run the jobs as they come."""
        self._run(iter(next_job, None), listener)

    def _run(self, jobs: Iterable[Job], listener: Listener) -> None:
        for job in jobs:
            stop_if_requested()
            try:
                listener.started(job.trial)
                use_threads(self._threads)
                outcome = run_job(replace(job, is_alone=True), _Relay(job.trial, listener))
            except (KeyboardInterrupt, UserError, StorageError):
                listener.interrupted(job.trial)
                raise
            except Exception as error:
                listener.failed(job.trial, describe(error))
            else:
                listener.finished(job.trial, outcome)


class _Relay:
    """An engine's observer that passes on to the listener, with the trial."""

    def __init__(self, trial: Trial, listener: Listener) -> None:
        self.trial = trial
        self.listener = listener

    def began(self, total_steps: int, total_epochs: int) -> None:
        self.listener.began(self.trial, total_steps, total_epochs)

    def resumed(self, step: int, epochs: Sequence[EpochRecord]) -> None:
        self.listener.resumed(self.trial, step, epochs)

    def stepped(self, step: int, loss: float) -> None:
        self.listener.stepped(self.trial, step, loss)

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None:
        self.listener.ended_epoch(self.trial, record)
