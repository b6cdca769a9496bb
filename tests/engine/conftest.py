"""Trials on the tiny checkpoint and on MiniLM, with their data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.inputs import DataRef
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.demo.source import DemoSource
from peftlab.engine.dataset import TrialData, load_data
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.location import locate
from peftlab.tasks.registry import TASKS

MakeTrial = Callable[..., Trial]


@pytest.fixture(scope="session")
def make_trial(tiny_checkpoint: Path) -> MakeTrial:
    """make_trial(method="lora", settings={"r": 4}, task=..., model=..., **training): a trial."""

    def make(
        *,
        method: str = "full",
        settings: dict[str, Any] | None = None,
        task: str = "demo-sentiment",
        data: DataRef | None = None,
        model: str = str(tiny_checkpoint),
        seed: int = 1,
        engine: str = "packed",
        rows: int = 40,
        max_length: int = 128,
        cache_frozen: bool = False,
        **training: Any,
    ) -> Trial:
        settings_of_training = {
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
            "learning_rate": 5e-3,
            "warmup_steps": 2,
            "weight_decay": 0.01,
        }
        return Trial(
            task=task,
            data=data or DemoSource().ref(TASKS.get(task)),
            model=locate(model),
            method=method,
            method_config=METHODS.get(method).resolve(settings or {}),
            training=TrainingSettings.model_validate(settings_of_training | training),
            seed=seed,
            seeds=Seeds.of(seed),
            max_train_samples=rows,
            max_eval_samples=24,
            max_length=max_length,
            engine=engine,
            cache_frozen=cache_frozen,
        )

    return make


@pytest.fixture(scope="session")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Trial], TrialData]:
    """Return the encoded rows of a trial."""
    cache = tmp_path_factory.mktemp("cache")
    return lambda trial: load_data(trial, load_tokenizer(trial.model.name), cache)
