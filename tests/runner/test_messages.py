"""What goes to a worker and back as JSON is what it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from peftlab.core.types import CheckpointEvery
from peftlab.runner.executors.base import Job
from peftlab.runner.messages import job_from_json, job_to_json, pass_on
from peftlab.study.expand import Expanded


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
