"""On a Ray cluster of several nodes a study ends as it does inline, also when a node dies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.core.interrupts import stopping_gently
from peftlab.core.types import Trial
from peftlab.runner.executors.base import ExecutorOptions
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.executors.ray_cluster import RayExecutor
from peftlab.runner.messages import ENDS
from peftlab.study.expand import Expanded

MakeStudy = Callable[..., Expanded]
ARMS = {
    "bitfit": {"method": "bitfit"},
    "head": {"method": "head"},
    "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1},
}


def bits(folder: Path, expanded: Expanded) -> dict[str, bytes]:
    """The weights and predictions of every trial."""
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
    InlineExecutor(options(tmp_path)).run(jobs_of(study, tmp_path / "inline"), make_listener())

    victim = ray_cluster.add_node(num_cpus=1)
    left = [victim]

    def kill(event: str, trial: Trial, number: int) -> None:
        if event == "stepped" and number > 20 and left:
            ray_cluster.remove_node(left.pop(), allow_graceful=False)

    listener = make_listener(on_event=kill)
    RayExecutor(options(tmp_path)).run(jobs_of(study, tmp_path / "ray"), listener)
    finished = [event for event, _, _ in listener.events if event == "finished"]
    assert len(finished) == 6
    assert not listener.errors
    assert not left
    assert bits(tmp_path / "ray", study) == bits(tmp_path / "inline", study)


def test_a_request_to_stop_is_passed_on(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any, ray_cluster: Any
) -> None:
    import signal

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
        RayExecutor(options(tmp_path)).run([job], listener)
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
        RayExecutor(nowhere).run(jobs, make_listener())
