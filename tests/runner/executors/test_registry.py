"""One conformance test covers every executor: its trials, its events and its end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peftlab.api.study import Study
from peftlab.cli import completion
from peftlab.cli.app import main
from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.trial import Trial
from peftlab.engine.devices.registry import resolve
from peftlab.engine.events import Listener, Started
from peftlab.engine.job import Job
from peftlab.engine.run import run_job
from peftlab.runner import execute as execution
from peftlab.runner.execute import Execution
from peftlab.runner.executors.base import ExecutorOptions, JobSource, queued
from peftlab.runner.executors.registry import EXECUTORS, ExecutorEntry
from peftlab.store.records import MODEL_FOLDER, PREDICTIONS_FILE
from peftlab.study.trials import Expanded
from tests.toy_study import toy_study

MakeStudy = Callable[..., Expanded]
ARMS = {
    "wild": {"method": "full", "training": {"learning_rate": 1e30}},
    "calm": {"method": "bitfit"},
    "head": {"method": "head"},
}


@pytest.fixture(params=EXECUTORS.names())
def name(request: pytest.FixtureRequest) -> str:
    """The name of an executor; for Ray there is a cluster."""
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    name: str = request.param
    return name


def options(folder: Path) -> ExecutorOptions:
    return ExecutorOptions(workers=2, threads=1, logs=folder / "logs")


def of(method: str, events: list[tuple[str, str, int]]) -> list[tuple[str, int]]:
    """Return the events of one trial without its steps, not all of which need be told."""
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
    EXECUTORS.get(name).load()(options(tmp_path)).run(queued(jobs, "cpu"), listener)
    whole = [("started", 0), ("began", 6), *(("evaluated", n) for n in (0, 1, 2))]
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
        EXECUTORS.get(executor).load()(options(tmp_path)).run(queued([job], "cpu"), make_listener())
        files.append((job.folder(job.trials[0]) / PREDICTIONS_FILE).read_bytes())
    assert files[0] == files[1]


def test_an_executor_passes_an_interrupt_on(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    def interrupt(event: str, trial: Trial, number: int) -> None:
        if event == "evaluated":
            raise KeyboardInterrupt

    listener = make_listener(on_event=interrupt)
    with pytest.raises(KeyboardInterrupt):
        EXECUTORS.get(name).load()(options(tmp_path)).run(
            queued(jobs_of(tiny_study(arms=ARMS), tmp_path), "cpu"), listener
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
        EXECUTORS.get(name).load()(options(tmp_path)).run(queued([wrong], "cpu"), listener)
    assert of("bitfit", listener.events) == [("started", 0), ("interrupted", 0)]


def test_a_job_of_several_trials_tells_how_each_of_them_ends(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    jobs = jobs_of(tiny_study(arms=ARMS), tmp_path)
    together = jobs[0].with_settings(
        trials=tuple(trial for job in jobs for trial in job.trials),
        folders={key: folder for job in jobs for key, folder in job.folders.items()},
    )
    listener = make_listener()
    EXECUTORS.get(name).load()(options(tmp_path)).run(queued([together], "cpu"), listener)
    whole = [("started", 0), ("began", 6), *(("evaluated", n) for n in (0, 1, 2))]
    for method in ("bitfit", "head"):
        assert of(method, listener.events) == [*whole, ("finished", 0)]
    assert of("full", listener.events) == [*whole[:3], ("failed", 0)]
    for job in jobs[1:]:
        assert (job.folder(job.trials[0]) / PREDICTIONS_FILE).is_file()


def test_an_executor_asks_for_jobs_that_follow_from_how_others_went(
    name: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any
) -> None:
    arms = {"calm": ARMS["calm"], "head": ARMS["head"]}
    first, second = jobs_of(tiny_study(arms=arms), tmp_path)
    waiting, given = [second, first], 0
    listener = make_listener()

    def next_job() -> Job | None:
        nonlocal given
        told = [event for event, _, _ in listener.events]
        assert told.count("started") == given, "which job comes next depends on what has started"
        if not waiting or (waiting == [second] and "finished" not in told):
            return None
        given += 1
        return waiting.pop()

    EXECUTORS.get(name).load()(options(tmp_path)).run(
        JobSource(next_job=next_job, device="cpu", most=2), listener
    )
    assert given == 2
    ends = [event for event in listener.events if event[0] in ("started", "finished")]
    assert ends == [
        ("started", "bitfit", 0),
        ("finished", "bitfit", 0),
        ("started", "head", 0),
        ("finished", "head", 0),
    ]


class Backwards:
    """A toy executor, which runs the known jobs in reverse order."""

    ran: ClassVar[list[str]] = []

    def __init__(self, options: ExecutorOptions) -> None:
        self.options = options

    def run(self, source: JobSource, tell: Listener) -> None:
        for job in source.known[::-1]:
            for trial in job.trials:
                tell(Started(trial=trial))
                Backwards.ran.append(trial.id)
            run_job(job, tell)


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExecutorOptions]]:
    """The options of the toy as an executor on other machines that takes --artifacts."""
    made: list[ExecutorOptions] = []
    monkeypatch.setattr(Backwards, "ran", [])

    def make(options: ExecutorOptions) -> Backwards:
        made.append(options)
        return Backwards(options)

    entry = ExecutorEntry(
        words="backwards",
        load=lambda: make,
        computes_here=False,
        options=frozenset({"workers", "artifacts"}),
    )
    with EXECUTORS.temporarily("backwards", entry):
        yield made


@pytest.fixture
def study_file(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The file of a study of two trials."""
    arms = {name: ARMS[name] for name in ("calm", "head")}
    study = toy_study(tiny_checkpoint, arms=arms)
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps(study))
    return path


def test_a_new_executor_is_one_class_and_its_entry(
    backwards: list[ExecutorOptions],
    study_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A study runs with it, from Python and by the command."""
    monkeypatch.setattr(execution, "ensure_weights", lambda model: pytest.fail("of this machine"))
    study = Study.load(study_file, workspace=tmp_path / "python")
    ended = study.run(executor="backwards", artifacts="memory://here", workers=3, progress=False)
    assert [trial.status for trial in ended] == ["done", "done"]
    assert Backwards.ran == [trial.id for trial in ended][::-1]
    assert (backwards[0].artifacts, backwards[0].workers) == ("memory://here", 3)
    line = [str(study_file), "--executor", "backwards", "--artifacts", "memory://there"]
    assert main(["run", *line, "--workspace", str(tmp_path / "command")]) == 0
    assert Backwards.ran[2:] == Backwards.ran[:2]
    assert backwards[1].artifacts == "memory://there"


def test_what_an_executor_heeds_and_where_it_computes_is_asked_of_its_entry(
    backwards: list[ExecutorOptions],
) -> None:
    assert completion.executors("back") == ["backwards"]
    given = ExecutorOptions(artifacts="memory://here")
    with pytest.raises(UserError, match=r"pool writes into .*try: --executor ray or backwards"):
        Execution.of("pool", given, "cpu")
    with pytest.raises(UserError, match="no device 'cuda:99' here"):
        Execution.of("pool", device="cuda:99")
    assert Execution.of("backwards", given, "cuda:99").here is None
    assert Execution.of("backwards").device == "auto"
    assert Execution.of("pool").device == resolve("auto").name


def test_a_plan_makes_the_checks_of_a_run(
    backwards: list[ExecutorOptions], study_file: Path, tmp_path: Path
) -> None:
    study = Study.load(study_file, workspace=tmp_path)
    plan = study.plan(executor="backwards", device="cuda:99", artifacts="memory://here")
    assert [one.seconds for one in plan.trials] == [None, None]
    with pytest.raises(UserError, match="no device 'cuda:99' here"):
        study.plan(executor="pool", device="cuda:99")
    with pytest.raises(UserError, match="pool writes into the workspace itself"):
        study.plan(executor="pool", artifacts="memory://here")
    line = ["run", str(study_file), "--dry-run", "--device", "cuda:99"]
    place = ["--workspace", str(tmp_path)]
    assert main([*line, *place, "--executor", "backwards"]) == 0
    assert main([*line, *place, "--executor", "pool"]) == 2


def test_an_executor_without_jobs_does_nothing(
    name: str, tmp_path: Path, make_listener: Any
) -> None:
    listener = make_listener()
    EXECUTORS.get(name).load()(options(tmp_path)).run(queued([], "cpu"), listener)
    assert listener.events == []


def test_an_unknown_executor_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown executor 'cluster' \(allowed: .*inline"):
        EXECUTORS.get("cluster")
