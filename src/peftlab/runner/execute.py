"""A study's open trials carried out, and all that they tell stored as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from peftlab.core.errors import StorageError
from peftlab.core.interrupts import stopping_gently
from peftlab.core.types import EpochRecord, Trial
from peftlab.engine.prepare import choose_device
from peftlab.engine.run import Outcome
from peftlab.runner.executors.base import ExecutorOptions, Job, Listener
from peftlab.runner.executors.registry import EXECUTORS
from peftlab.runner.track import TrackedListener
from peftlab.store.lock import held
from peftlab.store.provenance import provenance
from peftlab.store.records import is_open
from peftlab.store.workspace import Workspace
from peftlab.study.expand import Expanded
from peftlab.study.stored import store_study

STOPPING = "stopping; what is trained so far is saved first (once more: at once)"


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
    engine = EXECUTORS.get(executor, where="--executor")(options or ExecutorOptions())
    choose_device(device)
    if expanded.spec.track:
        display = TrackedListener(
            display,
            study=expanded.spec.name,
            trackers=expanded.spec.track,
            arms_of=expanded.arms_of,
            workspace=workspace.path,
        )
    with held(workspace.path, study=expanded.spec.name), stopping_gently(STOPPING):
        store_study(expanded, workspace)
        workspace.reset_running()
        jobs = _jobs(expanded, workspace, device, retry_failed, seconds)
        engine.run(jobs, _Recorder(workspace, display))


def _jobs(
    expanded: Expanded,
    workspace: Workspace,
    device: str,
    retry_failed: bool,
    seconds: Mapping[str, float],
) -> list[Job]:
    """The open trials."""
    statuses = workspace.statuses(trial.id for trial in expanded.trials)
    return [
        Job(
            trial=trial,
            artifacts=workspace.artifacts(trial.id),
            cache=workspace.cache,
            device=device,
            checkpoint_every=expanded.spec.checkpoint_every,
            seconds=seconds.get(trial.id, 0.0),
        )
        for trial in expanded.trials
        if is_open(statuses[trial.id], retry_failed)
    ]


class _Recorder:
    """Stores what trials tell, and then passes it on to the display."""

    def __init__(self, workspace: Workspace, display: Listener) -> None:
        self.workspace = workspace
        self.display = display

    def started(self, trial: Trial) -> None:
        self.workspace.start(trial.id, provenance())
        self.display.started(trial)

    def began(self, trial: Trial, total_steps: int, total_epochs: int) -> None:
        self.display.began(trial, total_steps, total_epochs)

    def resumed(self, trial: Trial, step: int, epochs: Sequence[EpochRecord]) -> None:
        for record in epochs:
            self.workspace.add_epoch(trial.id, record)
        self.display.resumed(trial, step, epochs)

    def stepped(self, trial: Trial, step: int, loss: float) -> None:
        self.display.stepped(trial, step, loss)

    def ended_epoch(self, trial: Trial, record: EpochRecord) -> None:
        self.workspace.add_epoch(trial.id, record)
        self.display.ended_epoch(trial, record)

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        self.workspace.finish(
            trial.id,
            outcome.costs,
            num_train_examples=outcome.num_train_examples,
            num_eval_examples=outcome.num_eval_examples,
        )
        self.display.finished(trial, outcome)

    def failed(self, trial: Trial, error: str) -> None:
        self.workspace.fail(trial.id, error)
        self.display.failed(trial, error)

    def interrupted(self, trial: Trial) -> None:
        with suppress(StorageError):  # the next run finds it as running and takes it up too
            self.workspace.interrupt(trial.id)
        self.display.interrupted(trial)

    def remarked(self, text: str) -> None:
        self.display.remarked(text)
