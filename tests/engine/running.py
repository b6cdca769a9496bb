"""The running of a trial as a job of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftlab.core.trial import Trial
from peftlab.engine.events import Finished, Listener, Paused, ignore
from peftlab.engine.job import Job
from peftlab.engine.run import run_trial


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
