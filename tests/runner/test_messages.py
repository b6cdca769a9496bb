"""What goes to a worker and back as JSON is what it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.training import CheckpointEvery
from peftlab.runner import messages
from peftlab.runner.executors.base import Job
from peftlab.runner.messages import Telling, job_from_json, job_to_json, pass_on
from peftlab.study.trials import Expanded


def test_a_job_comes_back_with_all_that_a_worker_needs_of_it(
    tiny_study: Callable[..., Expanded], tmp_path: Path
) -> None:
    job = Job(
        trial=tiny_study().trials[0],
        artifacts=tmp_path / "artifacts",
        cache=tmp_path / "cache",
        device="cuda:1",
        checkpoint_every=CheckpointEvery(number=3, unit="steps"),
        threads=2,
        told_every=2.5,
        micro_batch=4,
        is_alone=True,
    )
    assert job_from_json(json.loads(json.dumps(job_to_json(job)))) == job
    assert job_to_json(job).keys() == {field.name for field in fields(Job)} - {"seconds"}


def test_an_outcome_comes_back_also_without_costs_that_an_older_worker_did_not_know(
    tiny_study: Callable[..., Expanded], fake_engine: Any
) -> None:
    told = []

    class Taking:
        def finished(self, trial: Any, outcome: Any) -> None:
            told.append(outcome)

    values = json.loads(json.dumps(asdict(fake_engine.outcome)))
    del values["costs"]["energy_joules"]
    message = {"event": "finished", "outcome": values}
    pass_on(message, tiny_study().trials[0], Taking())  # type: ignore[arg-type]
    assert told == [fake_engine.outcome]
    assert told[0].costs.energy_joules is None


def test_steps_are_told_seldom_and_all_else_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(messages, "monotonic", lambda: now[0])
    told: list[Any] = []
    telling = Telling(told.append, every=2.0)
    telling.began(9, 1)
    for step in range(1, 10):
        telling.stepped(step, 0.5)
        now[0] += 0.75
    telling.resumed(3, [])
    steps = [message["step"] for message in told if message["event"] == "stepped"]
    assert steps == [1, 4, 7]
    assert [message["event"] for message in (told[0], told[-1])] == ["began", "resumed"]
