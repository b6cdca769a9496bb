"""The trials of a job from their descriptions to their artifacts, by whichever engine."""

from __future__ import annotations

from collections.abc import Hashable

from peftlab.core.errors import StorageError, UserError
from peftlab.core.trial import Trial
from peftlab.engine.attempt import Attempt, describe
from peftlab.engine.base import OnSaved
from peftlab.engine.devices.registry import resolve
from peftlab.engine.events import Failed, Finished, Interrupted, Listener, Paused
from peftlab.engine.grouping import shared_step
from peftlab.engine.job import Job
from peftlab.engine.precision import precision_of
from peftlab.engine.registry import ENGINES


def run_job(job: Job, tell: Listener, *, on_saved: OnSaved = lambda trial: None) -> None:
    """Run the trials of a job, telling how each of them goes and ends.

    They run one after another; with `job.together` those that may share steps (grouping.py) run as
    many at once as that, as far as their engine can.

    `on_saved` is called whenever a checkpoint of a trial has been written, and when all its
    artifacts are there, before it is told as finished. A failure of one trial leaves the others
    alone. UserError (data or checkpoints that are not there), StorageError and KeyboardInterrupt
    end the job: what has not ended is told as interrupted, then the exception goes on.
    """
    ended: set[str] = set()

    def end_with(end: Finished | Paused | Failed) -> None:
        ended.add(end.trial_id)  # also where that cannot be stored, or somebody stops it now
        tell(end)

    try:
        for trials in _sets(job):
            train_group = ENGINES.get(trials[0].engine).load_group
            if len(trials) > 1 and train_group is not None:
                train_group()(trials, job, tell, on_saved, end_with)
                continue
            for trial in trials:
                end_with(_end_of(trial, job, tell, on_saved))
    except (KeyboardInterrupt, UserError, StorageError):
        for trial in job.trials:
            if trial.id not in ended:
                tell(Interrupted(trial_id=trial.id))
        raise


def _sets(job: Job) -> list[list[Trial]]:
    """Return the trials of a job: those that share steps side by side, the others by themselves."""
    sets: dict[Hashable, list[Trial]] = {}
    for trial in job.trials:
        shared = shared_step(trial) if job.together > 1 else None
        sets.setdefault(shared or trial.id, []).append(trial)
    return [*sets.values()]


def _end_of(
    trial: Trial, job: Job, tell: Listener, on_saved: OnSaved
) -> Finished | Paused | Failed:
    """Run a trial by itself; return how it has ended."""
    try:
        return run_trial(trial, job, tell, on_saved)
    except (UserError, StorageError):
        raise
    except Exception as error:
        return Failed(trial_id=trial.id, error=describe(error))


def run_trial(trial: Trial, job: Job, tell: Listener, on_saved: OnSaved) -> Finished | Paused:
    """Train, evaluate and save a trial of a job, going on from where an attempt before has come to.

    An engine that does not rest goes on to the end.

    Raises UserError for data or checkpoints that are not there and a precision that the device does
    not have, TrialError for a training that diverges, and KeyboardInterrupt if the process is asked
    to stop.
    """
    device = resolve(job.device)
    with precision_of(trial.training, device):
        attempt = Attempt.of(trial, job, device, tell, on_saved)
        trained = ENGINES.get(trial.engine).load().train(attempt.prepared, attempt.run)
        return attempt.finish(trained)
