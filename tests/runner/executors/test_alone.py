"""Energy is measured if a trial has the machine to itself, which the executor knows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import TrialError
from peftlab.core.trial import Trial
from peftlab.engine.events import Failed
from peftlab.engine.job import Job
from peftlab.runner.executors import inline, pool
from peftlab.runner.executors.base import ExecutorOptions, queued
from peftlab.study.trials import Expanded


def test_inline_each_trial_is_alone(
    tiny_study: Callable[..., Expanded],
    make_listener: Any,
    jobs_of: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    def note(trial: Trial, job: Job, tell: object, on_saved: object) -> None:
        seen.append(job.is_alone)
        raise TrialError("enough")

    monkeypatch.setattr("peftlab.engine.run.run_trial", note)
    jobs = jobs_of(tiny_study(), tmp_path)
    assert not any(job.is_alone for job in jobs)
    inline.InlineExecutor(ExecutorOptions()).run(queued(jobs, "cpu"), make_listener())
    assert seen == [True] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_in_a_pool_a_trial_is_alone_where_there_is_one_worker(
    workers: int,
    tiny_study: Callable[..., Expanded],
    make_listener: Any,
    jobs_of: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    class Worker:
        """A stand-in for a worker's process that notes its jobs, each of which fails at once."""

        job: Job | None = None
        has_ended = False

        def __init__(self, log: Path) -> None:
            self.open_trials: set[str] = set()
            reading, self._writing = os.pipe()
            self.output = os.fdopen(reading, "rb")

        def run(self, job: Job) -> None:
            self.job = job
            seen.append(job.is_alone)
            os.write(self._writing, b"that is enough")

        def read(self) -> list[Any]:
            assert self.job is not None
            os.read(self.output.fileno(), 1000)
            (trial,) = self.job.trials
            self.job = None
            return [Failed(trial_id=trial.id, error="enough")]

        def is_silent(self, stall_seconds: float) -> bool:
            return False

        def close(self) -> None:
            self.output.close()
            os.close(self._writing)

    monkeypatch.setattr(pool, "WorkerProcess", Worker)
    options = ExecutorOptions(workers=workers, threads=1, logs=tmp_path)
    pool.PoolExecutor(options).run(queued(jobs_of(tiny_study(), tmp_path), "cpu"), make_listener())
    assert seen == [workers == 1] * 3
