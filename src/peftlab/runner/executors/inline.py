"""One job after another, in this process."""

from __future__ import annotations

from peftlab.core.errors import StorageError, UserError
from peftlab.core.interrupts import stop_if_requested
from peftlab.engine.events import Interrupted, Listener, Started
from peftlab.engine.run import run_job
from peftlab.runner.executors.base import ExecutorOptions, JobSource, use_threads


class InlineExecutor:
    """The simplest executor, and the one that the others are compared with."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._threads = options.threads

    def run(self, source: JobSource, tell: Listener) -> None:
        """Run the jobs in the source's order."""
        for job in iter(source.next_job, None):
            stop_if_requested()
            try:
                for trial in job.trials:
                    tell(Started(trial=trial))
            except (KeyboardInterrupt, UserError, StorageError):
                for trial in job.trials:
                    tell(Interrupted(trial_id=trial.id))
                raise
            use_threads(self._threads or job.threads)
            run_job(job.with_settings(is_alone=True), tell)
