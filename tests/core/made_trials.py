"""Trials for tests."""

from __future__ import annotations

from typing import Any

from peftlab.core.inputs import DataRef, ModelRef
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial


def trial(**given: Any) -> Trial:
    """Return a trial of LoRA on SST-2, with any field replaced."""
    values: dict[str, Any] = {
        "task": "sst2",
        "data": DataRef(source="hub", location="nyu-mll/glue", digest="d0"),
        "model": ModelRef(name="minilm", fingerprint="f0"),
        "method": "lora",
        "method_config": {},
        "training": TrainingSettings(),
        "seed": 1,
        "seeds": Seeds.of(1),
    }
    return Trial(**(values | given))
