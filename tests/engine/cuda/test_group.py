"""A group whose steps are recorded and played ends as its members end alone, without a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.trial import Trial
from peftlab.engine.events import Evaluated, Event, Finished
from peftlab.engine.job import Job
from peftlab.engine.recorded_group import RecordedGroup
from peftlab.engine.run import run_job
from peftlab.models.fused import backends
from tests.conftest import write_tiny_checkpoint
from tests.engine.cuda.playback import Playback
from tests.engine.cuda.test_recorded import MakeTrial, played

__all__ = ["played"]


def run(trials: Sequence[Trial], folder: Path, *, together: int) -> list[Any]:
    """The events of the trials."""
    events: list[Event] = []
    job = Job(
        trials=tuple(trials),
        folders={trial.id: folder / trial.id for trial in trials},
        cache=folder / "cache",
        device="cpu",
        together=together,
    )
    run_job(job, events.append)
    return events


def losses(events: Sequence[Any], trial: Trial) -> list[float]:
    evaluations = [
        event.evaluation
        for event in events
        if isinstance(event, Evaluated) and event.trial_id == trial.id
    ]
    return [loss for one in evaluations for loss in [*one.step_losses, one.eval_loss]]


def test_members_of_a_group_whose_steps_are_played_end_as_they_do_alone(
    played: Playback,
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = tmp_path / "one-layer"
    write_tiny_checkpoint(checkpoint, num_layers=1)
    training: dict[str, Any] = {
        "model": str(checkpoint), "num_train_epochs": 1, "per_device_train_batch_size": 2,
        "rows": 6, "max_length": 4,
    }  # fmt: skip
    made = [
        make_trial(method="lora", settings={"r": 2, "lora_dropout": 0.1}, **training),
        make_trial(method="bitfit", seed=2, **{**training, "rows": 4}),
        make_trial(method="head", seed=3, **{**training, "rows": 4}),
    ]
    trials = [trial.model_copy(update={"max_eval_samples": 2}) for trial in made]
    sizes = []
    take = RecordedGroup.take

    def noting(self: RecordedGroup, *args: Any, **keys: Any) -> None:
        sizes.append(len(self.members))
        take(self, *args, **keys)

    monkeypatch.setattr(RecordedGroup, "take", noting)
    together = run(trials, tmp_path / "together", together=2)
    # The second one ends a step before the first, and the third takes its place.
    assert sizes == [2, 2, 2]
    (taken,) = backends.BACKENDS
    monkeypatch.setattr(backends, "BACKENDS", (replace(taken, capture=None),))
    alone = run(trials, tmp_path / "alone", together=1)
    for trial in trials:
        assert losses(together, trial) == pytest.approx(losses(alone, trial), rel=1e-5)
    ends = {end.trial_id: end.costs for end in together if isinstance(end, Finished)}
    assert [ends[trial.id].together for trial in trials] == [2, 2, 2]
    assert all("recorded steps" in ends[trial.id].path for trial in trials)
