"""A study of one or two trials on a tiny checkpoint, with which toys of a registry are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def toy_study(checkpoint: Path, **changes: Any) -> dict[str, Any]:
    """Return the study in the form of its file, with these keys changed."""
    given: dict[str, Any] = {
        "name": "toy",
        "model": str(checkpoint),
        "data": "demo",
        "tasks": ["demo-sentiment"],
        "seeds": [1],
        "max_train_samples": 16,
        "max_eval_samples": 8,
        "training": {"num_train_epochs": 1, "learning_rate": 1e-3},
        "arms": {"bitfit": {"method": "bitfit"}},
    }
    return given | changes
