"""The shared trials, evaluations and costs of the store's tests, made without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.inputs import DataRef, ModelRef
from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace."""
    with Workspace.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """The function that returns a trial, with any fields replaced."""

    def make(**fields: Any) -> Trial:
        seed = fields.get("seed", 1)
        values = {
            "task": "demo-paraphrase",
            "data": DataRef(source="demo", location="demo", digest="d"),
            "model": ModelRef(name="minilm", fingerprint="m"),
            "method": "lora",
            "method_config": {"r": 8, "target_modules": ["query", "value"]},
            "training": TrainingSettings(learning_rate=5e-4),
            "seed": seed,
            "seeds": Seeds.of(seed),
        }
        return Trial(**(values | fields))

    return make


@pytest.fixture
def make_evaluation() -> Callable[..., Evaluation]:
    """The function that returns the evaluation at the end of an epoch, with any fields replaced."""

    def make(epoch: int, **fields: Any) -> Evaluation:
        values = {
            "epoch": epoch,
            "step": 2 * epoch,
            "train_loss": 0.7 / epoch if epoch else None,
            "eval_loss": 0.1 + 0.2,
            "scores": {"f1": 70.0 + epoch, "accuracy": 60.0 - epoch},
            "seconds": 1.5 * epoch,
            "step_losses": (0.1 + 0.2, 1 / 3) if epoch else (),
        }
        return Evaluation(**(values | fields))

    return make


@pytest.fixture
def costs() -> Costs:
    """The costs of a trial."""
    return Costs(
        parameters=ParameterCount(
            trainable=30, total=100, total_peft_counting=110, backbone=0, adapter=20, head=10
        ),
        device="cpu",
        threads=1,
        train_seconds=3.25,
        eval_seconds=0.5,
        total_seconds=4.0,
        train_examples_per_second=20.0,
        train_tokens_per_second=1 / 3,
        padding_avoided=0.3,
        path="packed",
        peak_memory_bytes=1 << 30,
        artifact_bytes=None,
        energy_joules=1234.5,
    )
