"""Trials share a step where their products with the checkpoint's matrices are the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from peftlab.core.trial import Trial
from peftlab.engine.grouping import shared_step, why_alone
from peftlab.models.builtin import BUILTIN
from peftlab.study.spec import validate
from peftlab.study.trials import expand

ARMS = {
    "lora": {"method": "lora", "r": 2, "training": {"learning_rate": 1e-3, "num_train_epochs": 2}},
    "bitfit": {"method": "bitfit", "training": {"lr_scheduler_type": "cosine"}},
    "houlsby": {"method": "houlsby"},
}


def trials(checkpoint: Path | str, **keys: Any) -> tuple[Trial, ...]:
    study = {
        "name": "tiny",
        "model": str(checkpoint),
        "data": "demo",
        "tasks": ["demo-paraphrase", "demo-sentiment"],
        "seeds": [1, 2],
        "max_train_samples": 20,
        "arms": ARMS,
    }
    return expand(validate(study | keys, where="tiny.yaml")).trials


def test_methods_tasks_seeds_and_schedules_may_differ(tiny_checkpoint: Path) -> None:
    found = {shared_step(trial) for trial in trials(tiny_checkpoint)}
    assert len(found) == 1
    assert None not in found


@pytest.mark.parametrize("training", [{"per_device_train_batch_size": 4}, {"bf16": True}])
def test_batches_of_another_size_or_precision_are_other_steps(
    tiny_checkpoint: Path, training: dict[str, Any]
) -> None:
    arms = {"one": {"method": "lora"}, "other": {"method": "lora", "training": training}}
    found = {shared_step(trial) for trial in trials(tiny_checkpoint, arms=arms)}
    assert len(found) == 2
    assert None not in found


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"engine": "padded"}, "the engine padded trains one trial at a time"),
        ({"cache_frozen": True}, "cache_frozen begins above the layers that would be shared"),
        (
            {"training": {"gradient_checkpointing": True}},
            "gradient_checkpointing computes the layers of one trial again",
        ),
        (
            {"arms": {"all": {"method": "full"}}},
            "full, with these settings, may change the checkpoint's matrices",
        ),
    ],
)
def test_a_trial_that_trains_alone_says_why(
    tiny_checkpoint: Path, keys: dict[str, Any], why: str
) -> None:
    for trial in trials(tiny_checkpoint, **keys):
        assert why_alone(trial) == why
        assert shared_step(trial) is None


def test_an_architecture_without_fused_blocks_trains_alone(tiny_checkpoint: Path) -> None:
    name = next(name for name in BUILTIN if "deberta" in name)
    trial = trials(tiny_checkpoint)[0]
    other = trial.model_copy(update={"model": trial.model.model_copy(update={"name": name})})
    assert why_alone(other) == "deberta-v2 has no fused blocks"
