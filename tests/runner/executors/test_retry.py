"""Trials of a job whose process died are run again, or have failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.engine.job import Job
from peftlab.runner.executors.retry import MOST_KILLS, Death, Retries
from peftlab.study.trials import Expanded

KILLED = Death(cause="ended by SIGKILL", is_killed=True, is_memory=False)
MEMORY = Death(cause="out of memory", is_killed=True, is_memory=True)
CRASHED = Death(cause="ended by SIGSEGV", is_killed=False, is_memory=False)


@pytest.fixture
def job(tiny_study: Callable[..., Expanded], tmp_path: Path) -> Job:
    """A job of three trials."""
    trials = tiny_study().trials
    return Job(
        trials=trials,
        folders={trial.id: tmp_path / trial.id for trial in trials},
        cache=tmp_path,
        device="cpu",
    )


def after(retries: Retries, job: Job, opened: int, death: Death) -> tuple[list[list[int]], Any]:
    """Return the trials that are run again, by job, and the events."""
    places = {trial.id: place for place, trial in enumerate(job.trials)}
    told: list[Any] = []
    ids = [trial.id for trial in job.trials[-opened:]]
    again = retries.after(job, ids, death, told.append)
    return [[places[trial.id] for trial in one.trials] for one in again], told


def test_only_trials_that_had_not_ended_are_run_again(job: Job) -> None:
    again, told = after(Retries(), job, 2, KILLED)
    assert again == [[1, 2]]
    assert [event.event for event in told] == ["remarked", "remarked"]
    assert told[0].text == f"trial {job.trials[1].id}: ended by SIGKILL; it is tried again"


def test_for_want_of_memory_a_job_is_divided_and_then_its_batches_are(job: Job) -> None:
    retries = Retries()
    assert after(retries, job, 3, MEMORY)[0] == [[0], [1, 2]]
    (alone,) = retries.after(job, [job.trials[0].id], MEMORY, lambda event: None)
    assert alone.micro_batch == 4
    one = alone.with_settings(micro_batch=1)
    told: list[Any] = []
    assert retries.after(one, [job.trials[0].id], MEMORY, told.append) == []
    assert [event.event for event in told] == ["failed"]


def test_for_want_of_memory_half_as_many_of_a_group_train_in_one_step(job: Job) -> None:
    retries, ids = Retries(), [trial.id for trial in job.trials]
    (smaller,) = retries.after(job.with_settings(together=5), ids, MEMORY, lambda event: None)
    assert (smaller.trials, smaller.together) == (job.trials, 1), "three were left, and did not fit"
    assert after(retries, smaller, 3, MEMORY)[0] == [[0], [1, 2]]


def test_of_a_job_that_crashes_each_trial_is_tried_alone_and_then_fails(job: Job) -> None:
    retries = Retries()
    assert after(retries, job, 3, CRASHED)[0] == [[0], [1], [2]]
    again, told = after(retries, job, 1, CRASHED)
    assert again == []
    assert (told[0].event, told[0].error) == ("failed", "ended by SIGSEGV")


def test_a_trial_that_is_killed_again_and_again_fails_without_the_others(job: Job) -> None:
    retries = Retries()
    for _ in range(MOST_KILLS - 1):
        assert after(retries, job, 1, KILLED)[0] == [[2]]
    again, told = after(retries, job, 3, KILLED)
    assert again == [[0, 1]]
    assert [event.event for event in told] == ["remarked", "remarked", "failed"]
