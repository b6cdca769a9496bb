"""A worker's death affects one trial: its cause is stored, and the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.trial import Trial
from peftlab.engine.events import Event, Finished
from peftlab.engine.job import Job
from peftlab.runner import worker_process
from peftlab.runner.cost import end_of
from peftlab.runner.executors import pool
from peftlab.runner.executors.base import ExecutorOptions, queued
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.executors.pool import PoolExecutor, WorkerLayout
from peftlab.runner.executors.retry import MOST_KILLS
from peftlab.runner.worker_process import WorkerProcess
from peftlab.study.trials import Expanded
from tests.runner.conftest import OUTCOME
from tests.runner.executors import bare_worker

MakeStudy = Callable[..., Expanded]
ARMS = {"bitfit": {"method": "bitfit"}, "head": {"method": "head"}}
LONG = {"num_train_epochs": 10}
ENDS = ("finished", "failed", "interrupted")
MAKER = """
import os, sys, time
from pathlib import Path
from peftlab.engine.job import Job
from peftlab.runner.worker_process import WorkerProcess

worker = WorkerProcess(Path(sys.argv[2]) / "worker.log")
worker.run(Job.model_validate_json(sys.argv[1]))
print(worker.pid, flush=True)
time.sleep(600)
"""


def executor(folder: Path, *, workers: int = 1, stall_seconds: float = 600.0) -> PoolExecutor:
    return PoolExecutor(
        ExecutorOptions(
            workers=workers, threads=1, logs=folder / "logs", stall_seconds=stall_seconds
        )
    )


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[WorkerProcess]:
    """All workers that are started."""
    started: list[WorkerProcess] = []

    class Noted(WorkerProcess):
        def __init__(self, log: Path) -> None:
            super().__init__(log)
            started.append(self)

    monkeypatch.setattr(pool, "WorkerProcess", Noted)
    return started


@pytest.fixture
def bare_workers(monkeypatch: pytest.MonkeyPatch, workers: list[WorkerProcess]) -> Any:
    """All workers that are started, each a process of bare_worker.py."""
    monkeypatch.setattr(worker_process, "WORKER", bare_worker.__name__)
    monkeypatch.setenv(bare_worker.OUTCOME, OUTCOME.model_dump_json())
    return workers


def strike(
    workers: list[WorkerProcess], number: int, *, method: str, times: int = 1, at: int = 1
) -> Any:
    """The function that makes a worker get a signal when a trial has taken `at` steps."""
    left = [times]

    def act(event: str, trial: Trial, step: int) -> None:
        if event == "stepped" and trial.method == method and step >= at and left[0]:
            left[0] -= 1
            os.kill(workers[-1].pid, number)

    return act


def test_what_libraries_print_while_they_are_imported_is_not_taken_for_a_message(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    listener = make_listener()
    study = tiny_study(arms={"head": ARMS["head"]}, engine="trainer")
    executor(tmp_path).run(queued(jobs_of(study, tmp_path), "cpu"), listener)
    assert listener.events[-1] == ("finished", "head", 0)
    assert "WANDB offline mode" in (tmp_path / "logs" / "worker-0.log").read_text()


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGSEGV, "ended by SIGSEGV"), (signal.SIGABRT, "ended by SIGABRT")],
)
def test_a_crash_is_the_failure_of_one_trial(
    number: int,
    words: str,
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    bare_workers: list[WorkerProcess],
) -> None:
    listener = make_listener(on_event=strike(bare_workers, number, method="bitfit"))
    executor(tmp_path).run(queued(jobs_of(tiny_study(arms=ARMS), tmp_path), "cpu"), listener)
    ends = [(event, method) for event, method, _ in listener.events if event in ENDS]
    assert sorted(ends) == [("failed", "bitfit"), ("finished", "head")]
    assert words in listener.errors[0]
    assert len(bare_workers) == 2


def test_a_trial_whose_worker_is_killed_goes_on_in_another(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    workers: list[WorkerProcess],
) -> None:
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}}, training=LONG)
    whole = make_listener()
    options = ExecutorOptions(threads=1, logs=tmp_path / "logs")
    InlineExecutor(options).run(queued(jobs_of(study, tmp_path / "whole"), "cpu"), whole)

    listener = make_listener(on_event=strike(workers, signal.SIGKILL, method="bitfit"))
    executor(tmp_path).run(queued(jobs_of(study, tmp_path / "killed"), "cpu"), listener)
    events = [event for event, _, _ in listener.events]
    assert events.count("started") == 2
    assert events[-1] == "finished"
    assert "ended by SIGKILL; it is tried again" in listener.remarks[-1]
    files = ("predictions.parquet", "model/changed.safetensors")
    for name in files:
        first, second = (tmp_path / way / study.trials[0].id / name for way in ("whole", "killed"))
        assert first.read_bytes() == second.read_bytes()


def test_of_a_group_whose_worker_is_killed_only_those_that_had_not_ended_go_on(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    bare_workers: list[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[list[str], int]] = []
    run = WorkerProcess.run

    def noting(self: WorkerProcess, job: Job) -> None:
        given.append(([trial.method for trial in job.trials], job.together))
        run(self, job)

    monkeypatch.setattr(WorkerProcess, "run", noting)
    jobs = jobs_of(tiny_study(arms=ARMS | {"lora": {"method": "lora"}}), tmp_path)
    group = jobs[0].with_settings(
        trials=tuple(job.trials[0] for job in jobs),
        folders={key: folder for job in jobs for key, folder in job.folders.items()},
        together=3,
    )
    listener = make_listener(on_event=strike(bare_workers, signal.SIGKILL, method="bitfit", at=70))
    executor(tmp_path).run(queued([group], "cpu"), listener)
    assert given == [(["bitfit", "head", "lora"], 3), (["bitfit", "head"], 2)]
    ends = [method for event, method, _ in listener.events if event == "finished"]
    assert ends == ["lora", "head", "bitfit"]


def test_a_trial_whose_worker_is_killed_again_and_again_has_failed(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    bare_workers: list[WorkerProcess],
) -> None:
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}})
    strikes = strike(bare_workers, signal.SIGKILL, method="bitfit", times=9)
    listener = make_listener(on_event=strikes)
    executor(tmp_path).run(queued(jobs_of(study, tmp_path), "cpu"), listener)
    assert len(bare_workers) == MOST_KILLS
    assert "ended by SIGKILL" in listener.errors[0]


def test_a_worker_killed_for_want_of_memory_is_followed_by_smaller_batches(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    workers: list[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom 0\noom_kill 4\n")
    monkeypatch.setattr(worker_process, "MEMORY_EVENTS", (counter,))
    kill = strike(workers, signal.SIGKILL, method="bitfit")

    def act(event: str, trial: Trial, number: int) -> None:
        if event == "stepped" and len(workers) == 1:
            counter.write_text("oom 1\noom_kill 5\n")
        kill(event, trial, number)

    outcomes = []
    listener = make_listener(on_event=act)

    def tell(event: Event) -> None:
        if isinstance(event, Finished):
            outcomes.append(event)
        listener(event)

    study = tiny_study(arms={"bitfit": {"method": "bitfit"}}, training=LONG)
    executor(tmp_path).run(queued(jobs_of(study, tmp_path), "cpu"), tell)
    assert "out of memory" in listener.remarks[-1]
    assert outcomes[0].costs.path.endswith("reduced to 4 examples at a time because memory ran out")


def test_a_trial_that_tells_nothing_any_more_is_ended(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    bare_workers: list[WorkerProcess],
) -> None:
    listener = make_listener(on_event=strike(bare_workers, signal.SIGSTOP, method="bitfit"))
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}})
    executor(tmp_path, stall_seconds=2.0).run(queued(jobs_of(study, tmp_path), "cpu"), listener)
    assert listener.errors[0].startswith("no progress for ")


def test_the_seconds_in_which_a_worker_imports_are_none_in_which_a_trial_tells_nothing(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    bare_workers: list[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(bare_worker.IMPORTS, "4")
    listener = make_listener()
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}})
    executor(tmp_path, stall_seconds=2.0).run(queued(jobs_of(study, tmp_path), "cpu"), listener)
    assert listener.errors == []
    assert listener.events[-1] == ("finished", "bitfit", 0)


def test_a_worker_whose_maker_is_killed_while_it_imports_trains_nothing(
    tmp_path: Path, tiny_study: MakeStudy, jobs_of: Any
) -> None:
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}})
    (job,) = jobs_of(study, tmp_path)
    maker = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", MAKER, job.model_dump_json(), tmp_path],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert maker.stdout is not None
    worker = Path("/proc") / maker.stdout.readline().strip()
    maker.kill()
    maker.wait()
    maker.stdout.close()
    deadline = time.monotonic() + 120
    while worker.exists() and "Z" not in (worker / "stat").read_text().rpartition(")")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not job.folder(job.trials[0]).exists()


def test_a_request_to_stop_saves_what_every_worker_has(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peftlab.core.interrupts import stopping_gently

    study = tiny_study(
        arms=ARMS, training={"num_train_epochs": 4000}, checkpoint_every="9999 epochs"
    )
    stepped = set()

    def act(event: str, trial: Trial, _: int) -> None:
        if event == "stepped":
            stepped.add(trial.method)
            if len(stepped) == 2:
                stepped.clear()
                signal.raise_signal(signal.SIGTERM)

    listener = make_listener(on_event=act)
    jobs = jobs_of(study, tmp_path)
    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        executor(tmp_path, workers=2).run(queued(jobs, "cpu"), listener)
    ends = [(event, method) for event, method, _ in listener.events if event in ENDS]
    assert sorted(ends) == [("interrupted", "bitfit"), ("interrupted", "head")]
    for job in jobs:
        assert len(list((job.folder(job.trials[0]) / "checkpoints").iterdir())) == 1


def test_the_longest_trial_goes_first(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any, jobs_of: Any, bare_workers: Any
) -> None:
    jobs = jobs_of(tiny_study(arms=ARMS), tmp_path)
    jobs = [job.with_settings(seconds=float(place)) for place, job in enumerate(jobs)]
    listener = make_listener()
    executor(tmp_path).run(queued(jobs, "cpu"), listener)
    started = [method for event, method, _ in listener.events if event == "started"]
    assert started == ["head", "bitfit"]


def test_where_it_is_worth_it_the_layout_is_measured_and_said(
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    jobs_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "MEASURED_SECONDS", 0.3)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    listener = make_listener()
    jobs = jobs_of(tiny_study(arms=ARMS), tmp_path, seconds=100.0)
    PoolExecutor(ExecutorOptions(logs=tmp_path / "logs")).run(queued(jobs, "cpu"), listener)
    assert listener.remarks in (["1 worker, 2 threads each"], ["2 workers, 1 thread each"])
    assert [event for event, _, _ in listener.events].count("finished") == 2


def test_a_layout_in_words() -> None:
    assert str(WorkerLayout(workers=1, threads=4)) == "1 worker, 4 threads each"
    assert str(WorkerLayout(workers=3, threads=1)) == "3 workers, 1 thread each"
    assert str(WorkerLayout(workers=2, threads=None)) == "2 workers"


def test_workers_that_would_wait_for_one_long_trial_are_not_worth_it() -> None:
    """Two workers are a tenth faster together, but the long trial would run alone in one."""
    ends = {count: end_of([60.0, 20.0, 10.0], count) * count for count in (1, 2)}
    assert ends[1] / 1.0 < ends[2] / 1.1
    many = {count: end_of([10.0] * 40, count) * count for count in (1, 2)}
    assert many[1] / 1.0 > many[2] / 1.1
