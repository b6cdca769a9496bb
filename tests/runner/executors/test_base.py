"""Failures are described, and groups are divided among the places where jobs run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import TrialError
from peftlab.engine.attempt import describe
from peftlab.runner.executors.base import JobSource, queued
from peftlab.study.trials import Expanded


def bottom() -> None:
    raise ValueError("at the bottom")


def middle() -> None:
    bottom()


def top() -> None:
    middle()


def test_our_own_error_is_its_own_description() -> None:
    assert describe(TrialError("the training loss is nan")) == "the training loss is nan"


def test_another_error_begins_with_its_kind_and_ends_with_the_last_calls() -> None:
    try:
        top()
    except ValueError as error:
        text = describe(error)
    first, *frames = text.splitlines()
    assert first == "ValueError: at the bottom"
    places = [line for line in frames if line.lstrip().startswith("File ")]
    assert [place.rpartition("in ")[2] for place in places] == ["top", "middle", "bottom"]
    assert frames[-1].strip() == 'raise ValueError("at the bottom")'


def test_an_error_that_was_never_raised_has_no_calls() -> None:
    assert describe(MemoryError("none left")) == "MemoryError: none left"


# Places


@pytest.fixture
def source(tiny_study: Callable[..., Expanded], tmp_path: Path, jobs_of: Any) -> JobSource:
    """Full fine-tuning of a second, and a group of six trials of four together, of two seconds."""
    arms = {"full": {"method": "full"}, "lora": {"method": "lora"}}
    full, *others = jobs_of(tiny_study(arms=arms, seeds=[*range(1, 7)]), tmp_path, seconds=1.0)
    group = others[0].with_settings(
        trials=tuple(job.trials[0] for job in others if job.trials[0].method == "lora"),
        folders={trial.id: tmp_path / trial.id for job in others for trial in job.trials},
        together=4,
        seconds=2.0,
    )
    return queued([full, group], "cpu")


def parts(source: JobSource) -> list[tuple[list[int], int, float]]:
    """The seeds of each job, how many train together, and the job's seconds."""
    return [
        ([trial.seed for trial in job.trials], job.together, round(job.seconds, 3))
        for job in source.known
    ]


def test_a_group_may_come_to_run_in_as_many_places_as_it_has_trials(source: JobSource) -> None:
    assert source.most == 7


@pytest.mark.parametrize(
    ("places", "groups"),
    [
        (1, [([1, 2, 3, 4, 5, 6], 4, 2.0)]),
        (3, [([1, 2, 3], 3, 1.0), ([4, 5, 6], 3, 1.0)]),
        (4, [([1, 2], 2, 0.667), ([3, 4], 2, 0.667), ([5, 6], 2, 0.667)]),
        (90, [([seed], 1, 0.333) for seed in range(1, 7)]),
    ],
)
def test_each_place_has_its_share_of_a_group(source: JobSource, places: int, groups: Any) -> None:
    assert parts(source.spread(places)) == [([1], 1, 1.0), *groups]


def test_of_groups_whose_time_is_not_known_the_trials_are_counted(source: JobSource) -> None:
    full, group = source.known
    untimed = queued([full, group.with_settings(seconds=0.0)], "cpu")
    assert [len(seeds) for seeds, _, _ in parts(untimed.spread(2))] == [1, 3, 3]


def test_jobs_that_follow_from_others_are_left_as_they_are() -> None:
    asked = JobSource(next_job=lambda: None, device="cpu", most=3)
    assert asked.spread(4) is asked
