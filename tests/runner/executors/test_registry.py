"""One conformance test over every executor: what it runs, what it tells, how it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.trial import Trial
from peftlab.engine.job import Job
from peftlab.runner.executors.base import ExecutorOptions, listed
from peftlab.runner.executors.registry import EXECUTORS
from peftlab.store.records import MODEL_FOLDER, PREDICTIONS_FILE
from peftlab.study.trials import Expanded

MakeStudy = Callable[..., Expanded]
ARMS = {
    "wild": {"method": "full", "training": {"learning_rate": 1e30}},
    "calm": {"method": "bitfit"},
    "head": {"method": "head"},
}


@pytest.fixture(params=EXECUTORS.names())
def name(request: pytest.FixtureRequest) -> str:
    """An executor; for Ray there is a cluster."""
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    name: str = request.param
    return name


def options(folder: Path) -> ExecutorOptions:
    return ExecutorOptions(workers=2, threads=1, logs=folder / "logs")


def of(method: str, events: list[tuple[str, str, int]]) -> list[tuple[str, int]]:
    """The events of one trial without its steps, of which not every one need be told."""
    return [(event, n) for event, told, n in events if told == method and event != "stepped"]


def test_an_executor_runs_all_jobs_and_tells_of_each_in_order(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    jobs = jobs_of(tiny_study(arms=ARMS), tmp_path)
    places = set()

    def look(event: str, trial: Trial, number: int) -> None:
        places.add((os.getpid(), threading.get_ident()))
        if event == "finished":
            assert (tmp_path / trial.id / MODEL_FOLDER).is_dir()
            assert (tmp_path / trial.id / PREDICTIONS_FILE).is_file()

    listener = make_listener(on_event=look)
    EXECUTORS.get(name)(options(tmp_path)).run(listed(jobs, "cpu"), listener)
    whole = [("started", 0), ("began", 6), *(("ended_epoch", n) for n in (0, 1, 2))]
    for method in ("bitfit", "head"):
        assert of(method, listener.events) == [*whole, ("finished", 0)]
    assert of("full", listener.events) == [*whole[:3], ("failed", 0)]
    assert listener.errors[0].endswith("the training has diverged")
    assert len(listener.errors) == 1
    assert places == {(os.getpid(), threading.get_ident())}


def test_an_executor_gives_the_numbers_of_the_inline_one(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    files = []
    for executor in ("inline", name):
        (job,) = jobs_of(tiny_study(arms={"lora": {"method": "lora"}}), tmp_path / f"{len(files)}")
        EXECUTORS.get(executor)(options(tmp_path)).run(listed([job], "cpu"), make_listener())
        files.append((job.folder(job.trials[0]) / PREDICTIONS_FILE).read_bytes())
    assert files[0] == files[1]


def test_an_executor_passes_an_interrupt_on(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    def interrupt(event: str, trial: Trial, number: int) -> None:
        if event == "ended_epoch":
            raise KeyboardInterrupt

    listener = make_listener(on_event=interrupt)
    with pytest.raises(KeyboardInterrupt):
        EXECUTORS.get(name)(options(tmp_path)).run(
            listed(jobs_of(tiny_study(arms=ARMS), tmp_path), "cpu"), listener
        )
    began = {method for event, method, _ in listener.events if event == "started"}
    ended = {method for event, method, _ in listener.events if event == "interrupted"}
    assert began == ended != set()
    assert not any(event in ("finished", "failed") for event, _, _ in listener.events)


def test_an_executor_ends_at_a_users_mistake(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    (job,) = jobs_of(tiny_study(arms={"calm": ARMS["calm"]}), tmp_path)
    other_rows = job.trials[0].data.model_copy(update={"digest": "of other rows"})
    trial = Trial.model_validate(job.trials[0].model_dump() | {"data": other_rows})
    wrong = Job(
        trials=(trial,), folders={trial.id: tmp_path / "wrong"}, cache=job.cache, device="cpu"
    )
    listener = make_listener()
    with pytest.raises(UserError, match="have changed since the trial"):
        EXECUTORS.get(name)(options(tmp_path)).run(listed([wrong], "cpu"), listener)
    assert of("bitfit", listener.events) == [("started", 0), ("interrupted", 0)]


def test_an_executor_without_jobs_does_nothing(
    name: str, tmp_path: Path, make_listener: Any
) -> None:
    listener = make_listener()
    EXECUTORS.get(name)(options(tmp_path)).run(listed([], "cpu"), listener)
    assert listener.events == []


def test_an_unknown_executor_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown executor 'cluster' \(allowed: .*inline"):
        EXECUTORS.get("cluster")
