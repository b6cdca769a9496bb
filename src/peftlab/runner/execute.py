"""The execution of a study's open trials, whose events are stored as they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from peftlab.core.errors import UserError
from peftlab.core.interrupts import stopping_gently
from peftlab.core.words import any_of
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.registry import AUTO, device_here, is_known, resolve
from peftlab.engine.events import Listener, all_of
from peftlab.engine.job import Job
from peftlab.models.checkpoints import ensure_weights
from peftlab.runner.executors.base import Executor, ExecutorOptions, queued
from peftlab.runner.executors.registry import (
    DEFAULT_EXECUTOR,
    EXECUTORS,
    ExecutorEntry,
    names_with,
)
from peftlab.runner.groups import TrialGroup
from peftlab.runner.record import Recorder
from peftlab.runner.track import Tracking
from peftlab.store.lock import held
from peftlab.store.records import is_open
from peftlab.store.workspace import Workspace
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import Expanded

STOPPING = "stopping after the state is saved; press Ctrl-C again to stop at once"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The choice of where trials run: an executor, its options and the device, all checked.

    `here` is the device of this machine; None for one that only a cluster's nodes have.
    """

    entry: ExecutorEntry
    options: ExecutorOptions
    asked: str
    here: Device | None

    @classmethod
    def of(
        cls,
        executor: str = DEFAULT_EXECUTOR,
        options: ExecutorOptions | None = None,
        device: str = AUTO,
    ) -> Execution:
        """Return the execution by an executor of that name on a device of that name.

        Raises UserError unless there is such an executor, and such a device where it computes.
        """
        entry, options = EXECUTORS.get(executor, where="--executor"), options or ExecutorOptions()
        if options.artifacts is not None and "artifacts" not in entry.options:
            raise UserError(
                f"the executor {executor} writes into the workspace itself",
                where=f"--artifacts {options.artifacts}",
                remedy=f"--executor {any_of(names_with('artifacts'))}",
            )
        is_elsewhere = not entry.computes_here and is_known(device)  # each node looks for itself
        here = device_here(device) if is_elsewhere else resolve(device)
        return cls(entry=entry, options=options, asked=device, here=here)

    @property
    def device(self) -> str:
        """The name of the device that jobs carry: the one that was found, here; else as asked.

        A node of a cluster looks for itself, so that "auto" may stand for a card on one of them.
        """
        return self.asked if self.here is None or not self.entry.computes_here else self.here.name

    def make_ready(self, model: str) -> list[str]:
        """Ensure that the model's weights are on this machine and the device is ready to compute.

        Both are stages of the work. Returns remarks on the device, a line each. Raises UserError
        where the weights cannot be had.
        """
        if self.entry.computes_here:  # else nodes have caches of their own
            ensure_weights(model)
        if self.here is None:
            return []
        self.here.make_ready_for(model)
        self.here.make_ready()
        return self.here.remarks()

    def executor(self) -> Executor:
        """Return the executor, which is imported now."""
        return self.entry.load()(self.options)


def execute(
    expanded: Expanded,
    workspace: Workspace,
    *,
    display: Listener,
    execution: Execution,
    retry_failed: bool = False,
    seconds: Mapping[str, float] = MappingProxyType({}),
    groups: Sequence[TrialGroup] = (),
) -> None:
    """Run the trials that are not done, where the execution says.

    `seconds` are estimates by trial id. Failed trials are left alone unless `retry_failed`. Those
    that are in none of the `groups` train alone.

    Raises UserError, StorageError and KeyboardInterrupt with everything that was measured stored;
    after Ctrl-C or SIGTERM the state of the training is too.
    """
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
        jobs = _jobs(expanded, workspace, execution.device, retry_failed, seconds, groups)
        execution.executor().run(queued(jobs, execution.device), all_of(*listeners))


def _jobs(
    expanded: Expanded,
    workspace: Workspace,
    device: str,
    retry_failed: bool,
    seconds: Mapping[str, float],
    groups: Sequence[TrialGroup],
) -> list[Job]:
    """Return the jobs of the open trials: one for each group, and for each that is in none.

    A group has the place of its first trial.
    """
    statuses = workspace.statuses(trial.id for trial in expanded.trials)
    waiting = {
        trial.id: trial for trial in expanded.trials if is_open(statuses[trial.id], retry_failed)
    }
    group_of = {trial.id: group for group in groups for trial in group.trials}
    jobs = []
    while waiting:
        first = next(iter(waiting.values()))
        group = group_of.get(first.id)
        wanted = (first,) if group is None else group.trials
        trials = tuple(trial for trial in wanted if waiting.pop(trial.id, None) is not None)
        jobs.append(
            Job(
                trials=trials,
                folders={trial.id: workspace.artifacts(trial.id) for trial in trials},
                cache=workspace.cache,
                device=device,
                checkpoint_every=expanded.spec.checkpoint_every,
                seconds=sum(seconds.get(trial.id, 0.0) for trial in trials),
                together=1 if group is None else min(group.together, len(trials)),
            )
        )
    return jobs
