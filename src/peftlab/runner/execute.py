"""A study's open trials carried out, and all that they tell stored as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from peftlab.core.errors import UserError
from peftlab.core.interrupts import stopping_gently
from peftlab.engine.events import Listener, all_of
from peftlab.engine.job import Job
from peftlab.engine.prepare import choose_device
from peftlab.runner.executors.base import ExecutorOptions, listed
from peftlab.runner.executors.registry import EXECUTORS
from peftlab.runner.record import Recorder
from peftlab.runner.track import Tracking
from peftlab.store.lock import held
from peftlab.store.records import is_open
from peftlab.store.workspace import Workspace
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import Expanded

STOPPING = "stopping; what is trained so far is saved first (once more: at once)"


def check_execution(executor: str, options: ExecutorOptions, device: str) -> None:
    """UserError unless there is such an executor, and such a device, here."""
    EXECUTORS.get(executor, where="--executor")
    if options.artifacts is not None and executor != "ray":
        raise UserError(
            f"the executor {executor} writes into the workspace itself",
            where=f"--artifacts {options.artifacts}",
            allowed="with --executor ray",
        )
    choose_device(device)


def execute(
    expanded: Expanded,
    workspace: Workspace,
    *,
    display: Listener,
    executor: str = "inline",
    options: ExecutorOptions | None = None,
    device: str = "auto",
    retry_failed: bool = False,
    seconds: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Run what is not done yet.

    `seconds` are estimates by trial id. Failed trials are left alone unless `retry_failed`.

    Raises UserError, StorageError and KeyboardInterrupt with everything that was measured stored;
    after Ctrl-C or SIGTERM the state of the training is too.
    """
    options = options or ExecutorOptions()
    check_execution(executor, options, device)
    listeners: list[Listener] = [Recorder(workspace, expanded.rows), display]
    if expanded.spec.track:
        listeners.append(
            Tracking(
                display,
                study=expanded.spec.name,
                trackers=expanded.spec.track,
                arms_of=expanded.arms_of,
                workspace=workspace.path,
            )
        )
    with held(workspace.path, study=expanded.spec.name), stopping_gently(STOPPING):
        store_study(expanded, workspace)
        workspace.reset_running()
        workspace.remove_spent_checkpoints()
        jobs = _jobs(expanded, workspace, device, retry_failed, seconds)
        EXECUTORS.get(executor)(options).run(listed(jobs, device), all_of(*listeners))


def _jobs(
    expanded: Expanded,
    workspace: Workspace,
    device: str,
    retry_failed: bool,
    seconds: Mapping[str, float],
) -> list[Job]:
    """Return a job for each open trial."""
    statuses = workspace.statuses(trial.id for trial in expanded.trials)
    return [
        Job(
            trials=(trial,),
            folders={trial.id: workspace.artifacts(trial.id)},
            cache=workspace.cache,
            device=device,
            checkpoint_every=expanded.spec.checkpoint_every,
            seconds=seconds.get(trial.id, 0.0),
        )
        for trial in expanded.trials
        if is_open(statuses[trial.id], retry_failed)
    ]
