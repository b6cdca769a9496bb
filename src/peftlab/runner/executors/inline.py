"""One trial after another, in this process."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from peftlab.core.errors import PeftlabError, UserError
from peftlab.core.types import EpochRecord, Trial
from peftlab.data.predictions import Predictions
from peftlab.engine.run import run_trial
from peftlab.runner.executors.base import Job, Listener


class InlineExecutor:
    """The simplest executor, and the one that the others are compared with."""

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run the jobs in their order."""
        for job in jobs:
            try:
                listener.started(job.trial)
                outcome = run_trial(
                    job.trial,
                    workspace_cache=job.cache,
                    artifacts=job.artifacts,
                    observer=_Relay(job.trial, listener),
                    device=job.device,
                )
            except (KeyboardInterrupt, UserError):
                listener.interrupted(job.trial)
                raise
            except Exception as error:
                listener.failed(job.trial, describe(error))
            else:
                listener.finished(job.trial, outcome)


def describe(error: Exception) -> str:
    """The cause of a failure: our own words for our own errors, else the end of the traceback."""
    if isinstance(error, PeftlabError):
        return str(error)
    frames = "".join(traceback.format_tb(error.__traceback__)[-3:])
    return f"{type(error).__name__}: {error}\n{frames}".rstrip()


class _Relay:
    """An engine's observer that passes on to the listener, with the trial."""

    def __init__(self, trial: Trial, listener: Listener) -> None:
        self.trial = trial
        self.listener = listener

    def began(self, total_steps: int, total_epochs: int) -> None:
        self.listener.began(self.trial, total_steps, total_epochs)

    def stepped(self, step: int, loss: float) -> None:
        self.listener.stepped(self.trial, step, loss)

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None:
        self.listener.ended_epoch(self.trial, record)
