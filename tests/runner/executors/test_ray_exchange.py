"""Nodes that share no folder hand trials on by a URL, and the study ends as it does inline."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest

from peftlab.core.errors import PeftlabError, UserError
from peftlab.core.interrupts import stopping_gently
from peftlab.core.trial import Trial
from peftlab.engine.job import Job
from peftlab.runner.exchange import Exchange
from peftlab.runner.exchanged_folder import ExchangedFolder
from peftlab.runner.executors import ray_task
from peftlab.runner.executors.base import ExecutorOptions, queued
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.executors.ray_cluster import RayExecutor
from peftlab.study.trials import Expanded

MakeStudy = Callable[..., Expanded]
ARMS = {"bitfit": {"method": "bitfit"}, "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1}}
LONG = {"num_train_epochs": 40}
ENDS = ("finished", "failed", "interrupted")


def run_ray(jobs: list[Job], url: str, folder: Path, listener: Any) -> None:
    options = ExecutorOptions(threads=1, logs=folder, artifacts=url)
    RayExecutor(options).run(queued(jobs, "cpu"), listener)


def run_inline(jobs: list[Job], folder: Path, listener: Any) -> None:
    InlineExecutor(ExecutorOptions(threads=1, logs=folder)).run(queued(jobs, "cpu"), listener)


def bits(jobs: list[Job]) -> dict[str, bytes]:
    """Return the weights and predictions of every trial."""
    return {
        f"{job.trials[0].id}/{file.relative_to(job.folder(job.trials[0]))}": file.read_bytes()
        for job in jobs
        for file in sorted(job.folder(job.trials[0]).rglob("*"))
        if file.is_file() and "checkpoints" not in file.parts
    }


def scratch_folders(url: str) -> list[Path]:
    """Return the scratch folders of all nodes, which the tests have on one machine."""
    return [*Path(tempfile.gettempdir()).glob(f"{ray_task._scratch_prefix(url)}*")]


def stored(url: str) -> list[str]:
    """Return the paths of everything at the URL."""
    files, root = fsspec.url_to_fs(url)
    files.invalidate_cache()
    return list(files.find(root))


def kill_node(cluster: Any, node: Any) -> None:
    """End all processes of the node, including those that Ray would leave to end by themselves."""
    import psutil

    (raylet,) = node.all_processes["raylet"]
    started = psutil.Process(raylet.process.pid).children(recursive=True)
    warm = [psutil.Process(int(one.name())) for one in started if one.name().isdecimal()]
    workers = [*started, *warm]
    cluster.remove_node(node, allow_graceful=False)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    assert not psutil.wait_procs(workers, timeout=30)[1]


def damage(url: str, trial: Trial, suffix: str) -> None:
    """Change an object of the trial's newest state, of a file whose name has this ending."""
    folder = Exchange(url).folder(trial.id)
    entries = folder._states()[-1].entries or ()
    last = max((one for one in entries if one.name.endswith(suffix)), key=lambda one: one.name)
    path = folder._object(last.digest)
    folder.files.pipe_file(path, folder.files.cat_file(path)[:-4] + b"else")


def test_a_node_that_dies_is_followed_by_one_that_goes_on_from_the_url(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
    s3_url: str,
) -> None:
    """The node's own folder is lost, and no other machine has ever had the trial's folder."""
    study = tiny_study(arms=ARMS, training=LONG, checkpoint_every="5 steps")
    here = jobs_of(study, tmp_path / "inline")
    run_inline(here, tmp_path, make_listener())
    lost: list[tuple[str, str]] = []

    def lose(event: str, trial: Trial, number: int) -> None:
        if event != "stepped" or number <= 20 or lost:
            return
        (folder,) = [one for one in scratch_folders(s3_url) if (one / trial.id).exists()]
        (node,) = [one for one in ray_cluster.worker_nodes if folder.name.endswith(one.node_id)]
        lost.append((trial.method, folder.name))
        kill_node(ray_cluster, node)
        folder.rename(tmp_path / "lost")
        assert not list((tmp_path / "ray").rglob("checkpoints"))
        ray_cluster.add_node(num_cpus=1)

    listener = make_listener(on_event=lose)
    jobs = jobs_of(study, tmp_path / "ray")
    run_ray(jobs, s3_url, tmp_path, listener)
    assert not listener.errors
    events = [(event, number) for event, method, number in listener.events if method == lost[0][0]]
    again = events[events.index(("started", 0), 1) :]
    assert [event for event, _ in again[:3]] == ["started", "began", "resumed"]
    assert again[2][1] >= 15
    assert bits(jobs) == bits(here)
    assert stored(s3_url) == []
    assert scratch_folders(s3_url) == []


def test_damage_at_the_url_is_noticed_and_what_was_before_is_used(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First a checkpoint is damaged, then the final files of the trial."""
    study = tiny_study(
        arms={"bitfit": {"method": "bitfit"}},
        training={"num_train_epochs": 100},
        checkpoint_every="5 steps",
    )
    url = f"file://{tmp_path}/far"
    (here,) = jobs_of(study, tmp_path / "inline")
    run_inline([here], tmp_path, make_listener())
    (job,) = jobs_of(study, tmp_path / "ray")

    def stop(event: str, trial: Trial, number: int) -> None:
        if event == "stepped" and number > 10:
            signal.raise_signal(signal.SIGTERM)

    stopped = make_listener(on_event=stop)
    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        run_ray([job], url, tmp_path, stopped)
    assert stopped.events[-1][0] == "interrupted"
    checkpoints = sorted((job.folder(job.trials[0]) / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    assert stored(url) == []

    shutil.copytree(job.folder(job.trials[0]), tmp_path / "before")
    (tmp_path / "before" / "checkpoints" / checkpoints[-1].name).unlink()
    folder = Exchange(url).folder(job.trials[0].id)
    folder.publish(tmp_path / "before")
    folder.publish(job.folder(job.trials[0]))
    damage(url, job.trials[0], ".safetensors")
    fetch = ExchangedFolder.fetch
    fetched = []

    def fetch_damaged(place: ExchangedFolder, target: Path, **keys: Any) -> Any:
        if not fetched:
            damage(url, job.trials[0], "parquet")
        fetched.append(fetch(place, target, **keys))
        return fetched[-1]

    monkeypatch.setattr(ExchangedFolder, "fetch", fetch_damaged)
    listener = make_listener()
    run_ray([job], url, tmp_path, listener)
    resumed = [number for event, _, number in listener.events if event == "resumed"]
    assert resumed[0] == int(checkpoints[0].name[5:14])
    assert "is damaged; an earlier one is used" in listener.remarks[0]
    assert "is damaged; it is tried again" in listener.remarks[1]
    assert len(fetched) == 2
    assert resumed[1] > resumed[0]
    assert not listener.errors
    assert bits([job]) == bits([here])


def test_what_was_saved_here_is_gone_on_from_there(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
    s3_url: str,
) -> None:
    study = tiny_study(
        arms={"bitfit": {"method": "bitfit"}}, training=LONG, checkpoint_every="5 steps"
    )
    (job,) = jobs_of(study, tmp_path)

    def stop(event: str, trial: Trial, number: int) -> None:
        if number == 23:
            signal.raise_signal(signal.SIGTERM)

    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        run_inline([job], tmp_path, make_listener(on_event=stop))
    listener = make_listener()
    run_ray([job], s3_url, tmp_path, listener)
    assert ("resumed", "bitfit", 23) in listener.events
    assert listener.events[-1][0] == "finished"


def test_a_place_that_does_not_answer_any_more_ends_the_study(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
) -> None:
    place = tmp_path / "place"
    study = tiny_study(
        arms={"bitfit": {"method": "bitfit"}}, training=LONG, checkpoint_every="5 steps"
    )

    def take_away(event: str, trial: Trial, number: int) -> None:
        if event == "began":
            shutil.rmtree(place)
            place.write_text("not a folder any more")

    listener = make_listener(on_event=take_away)
    with pytest.raises(PeftlabError, match=r"does not answer.*what was stored before is kept"):
        run_ray(jobs_of(study, tmp_path), f"file://{place}", tmp_path, listener)
    assert [event for event, _, _ in listener.events if event in ENDS] == ["interrupted"]


def test_a_url_that_the_nodes_cannot_use_is_the_users_mistake(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    ray_cluster: Any,
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    class Here(LocalFileSystem):
        protocol = "here"

    fsspec.register_implementation("here", Here)
    (tmp_path / "place").mkdir()
    listener = make_listener()
    jobs = jobs_of(tiny_study(arms=ARMS), tmp_path)
    with pytest.raises(UserError, match=r"on the node .*Protocol not known: here"):
        run_ray(jobs, f"here://{tmp_path}/place", tmp_path, listener)
    assert listener.events == []
    assert list((tmp_path / "place").iterdir()) == []
