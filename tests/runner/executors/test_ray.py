"""On a Ray cluster of several nodes a study ends as it does inline, whatever dies there."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.core.interrupts import stopping_gently
from peftlab.core.trial import Trial
from peftlab.runner.executors import ray_cluster as module
from peftlab.runner.executors import retry
from peftlab.runner.executors.base import ExecutorOptions, queued
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.executors.ray_cluster import RayExecutor
from peftlab.store.workspace import Workspace
from peftlab.study.trials import Expanded
from tests.executing import execute

MakeStudy = Callable[..., Expanded]
ENDS = ("finished", "failed", "interrupted")
ARMS = {
    "bitfit": {"method": "bitfit"},
    "head": {"method": "head"},
    "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1},
}


def bits(folder: Path, expanded: Expanded) -> dict[str, bytes]:
    """Return the weights and predictions of every trial."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for trial in expanded.trials
        for file in sorted((folder / trial.id).rglob("*"))
        if file.is_file() and "checkpoints" not in file.parts
    }


def options(folder: Path) -> ExecutorOptions:
    return ExecutorOptions(threads=1, logs=folder / "logs")


def test_a_node_that_dies_changes_nothing(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any, ray_cluster: Any
) -> None:
    study = tiny_study(
        arms=ARMS, training={"num_train_epochs": 30}, checkpoint_every="5 steps", seeds=[1, 2]
    )
    InlineExecutor(options(tmp_path)).run(
        queued(jobs_of(study, tmp_path / "inline"), "cpu"), make_listener()
    )

    victim = ray_cluster.add_node(num_cpus=1)
    left = [victim]

    def kill(event: str, trial: Trial, number: int) -> None:
        if event == "stepped" and number > 20 and left:
            ray_cluster.remove_node(left.pop(), allow_graceful=False)

    listener = make_listener(on_event=kill)
    RayExecutor(options(tmp_path)).run(queued(jobs_of(study, tmp_path / "ray"), "cpu"), listener)
    finished = [event for event, _, _ in listener.events if event == "finished"]
    assert len(finished) == 6
    assert not listener.errors
    assert not left
    assert bits(tmp_path / "ray", study) == bits(tmp_path / "inline", study)


def stored(study: Expanded, folder: Path, listener: Any, executor: str) -> list[Any]:
    """Return everything that is stored of a study after its run, except what depends on time."""
    with Workspace.open(folder) as workspace:
        options = ExecutorOptions(threads=1, logs=folder / "logs")
        execute(
            study, workspace, display=listener, executor=executor, options=options, device="cpu"
        )
        return [
            (
                record.trial.id,
                record.status,
                [
                    (one.step, one.train_loss, one.eval_loss, one.step_losses)
                    for one in record.evaluations
                ],
            )
            for record in workspace.trials()
        ]


def test_processes_killed_at_random_moments_change_nothing(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    ray_cluster: Any,
    trial_processes: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The moments are drawn from the events of the trials, so none comes after the end."""
    monkeypatch.setattr(retry, "MOST_KILLS", 99)
    study = tiny_study(
        arms=ARMS, training={"num_train_epochs": 20}, checkpoint_every="3 steps", seeds=[1, 2]
    )
    chance = random.Random(7)
    waits = [chance.randrange(6) for _ in range(4)]
    killed = []

    def kill(event: str, trial: Trial, number: int) -> None:
        if event == "remarked" or not waits:
            return
        waits[0] -= 1
        if waits[0] <= 0 and (running := sorted(trial_processes())):
            waits.pop(0)
            killed.append(event)
            os.kill(chance.choice(running), signal.SIGKILL)

    whole = stored(study, tmp_path / "whole", make_listener(), "inline")
    listener = make_listener(on_event=kill)
    assert stored(study, tmp_path / "killed", listener, "ray") == whole
    assert len(killed) == 4
    assert len([text for text in listener.remarks if "it is tried again" in text]) >= 2
    folders = (tmp_path / way / "artifacts" for way in ("killed", "whole"))
    found, wanted = (bits(folder, study) for folder in folders)
    assert found == wanted


def test_a_process_that_crashes_is_the_failure_of_one_trial(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
    trial_processes: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "MOST_KILLS", 1)
    (first, second) = jobs_of(tiny_study(arms=ARMS), tmp_path)[:2]

    def crash(event: str, trial: Trial, number: int) -> None:
        if event == "began" and trial == first.trials[0]:
            (pid,) = trial_processes()
            os.kill(pid, signal.SIGSEGV)

    listener = make_listener(on_event=crash)
    RayExecutor(options(tmp_path)).run(queued([first], "cpu"), listener)
    RayExecutor(options(tmp_path)).run(queued([second], "cpu"), listener)
    ends = [event for event, _, _ in listener.events if event in ENDS]
    assert ends == ["failed", "finished"]
    assert "WorkerCrashedError" in listener.errors[0]


def test_a_trial_that_tells_nothing_any_more_is_ended(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
    trial_processes: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole process is stopped, so that it would not answer to Ray either."""
    clock = module.monotonic
    hung = []

    def hang(event: str, trial: Trial, number: int) -> None:
        if event == "stepped" and not hung:
            hung.extend(trial_processes())
            os.kill(hung[0], signal.SIGSTOP)
            monkeypatch.setattr(module, "monotonic", lambda: clock() + 2000)

    listener = make_listener(on_event=hang)
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}}, training={"num_train_epochs": 400})
    RayExecutor(options(tmp_path)).run(queued(jobs_of(study, tmp_path), "cpu"), listener)
    assert listener.errors[0].startswith("no progress for 20")
    assert listener.events[-1][0] == "failed"
    assert not set(hung) & set(trial_processes())


def test_a_request_to_stop_is_passed_on(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any, ray_cluster: Any
) -> None:
    study = tiny_study(
        arms={"bitfit": {"method": "bitfit"}},
        training={"num_train_epochs": 4000},
        checkpoint_every="9999 epochs",
    )

    def act(event: str, trial: Trial, number: int) -> None:
        if event == "stepped":
            signal.raise_signal(signal.SIGTERM)

    listener = make_listener(on_event=act)
    (job,) = jobs_of(study, tmp_path)
    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        RayExecutor(options(tmp_path)).run(queued([job], "cpu"), listener)
    assert [event for event, _, _ in listener.events if event in ENDS] == ["interrupted"]


def test_a_cluster_that_is_not_there_is_the_users_mistake(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray", reason="the package ray is not installed")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    nowhere = replace(options(tmp_path), address="127.0.0.1:1")
    jobs = jobs_of(tiny_study(arms={"bitfit": {"method": "bitfit"}}), tmp_path)
    with pytest.raises(UserError, match="no Ray cluster there"):
        RayExecutor(nowhere).run(queued(jobs, "cpu"), make_listener())
