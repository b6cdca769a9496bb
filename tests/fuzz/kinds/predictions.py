"""Stored predictions: Parquet files of a workspace."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random

import numpy as np

from peftlab.data.predictions import Predictions, read_predictions, write_predictions
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes


class StoredPredictions(Kind):
    """The file is damaged."""

    name = "predictions"
    share = 10

    @cached_property
    def content(self) -> bytes:
        """Return a file of four rows."""
        path = self.world.root / "predictions.parquet"
        numbers = np.arange(4)
        logits = np.ones((4, 2), np.float32)
        write_predictions(path, Predictions(row_ids=numbers, labels=numbers % 2, logits=logits))
        return path.read_bytes()

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        path = folder / "predictions.parquet"
        path.write_bytes(self.content if rng.random() < 0.1 else mutate_bytes(self.content, rng))
        return lambda: read_predictions(path).predicted


KIND = StoredPredictions
