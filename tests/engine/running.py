"""The running of a trial as a job of its own, and of its training alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftlab.core.trial import Trial
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.events import Finished, Listener, Paused, ignore
from peftlab.engine.job import Job
from peftlab.engine.loop import training
from peftlab.engine.run import run_trial
from peftlab.engine.tally import Tally


def run_alone(
    trial: Trial, folder: Path, *, cache: Path | None = None, tell: Listener = ignore, **keys: Any
) -> Finished | Paused:
    """Run the trial on the CPU, its artifacts in the folder; `keys` are the job's."""
    job = Job(
        trials=(trial,),
        folders={trial.id: folder},
        cache=cache or folder.parent / "cache",
        device="cpu",
        **keys,
    )
    return run_trial(trial, job, tell, lambda trial: None)


def train(
    classifier: Classifier, trial: Trial, data: TrialData, tell: Listener = ignore, **keys: Any
) -> Tally:
    """Train the classifier's module by our own loop; `keys` are those of `training`."""
    with training(classifier, trial, data, tell, **keys) as opened:
        return opened.run()
