"""Outcomes with a known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from peftlab.stats.outcomes import Outcomes

Draw = Callable[..., Outcomes]


@pytest.fixture
def draw() -> Draw:
    """Build outcomes in which a run is right on a share of the examples, by chance."""

    def build(
        shares: Sequence[float],
        *,
        num_examples: int = 200,
        metric: str = "accuracy",
        seeds: Sequence[int] | None = None,
        chance: int = 0,
        labels_chance: int = 0,
    ) -> Outcomes:
        labels_N = np.random.default_rng(labels_chance).integers(0, 2, num_examples)
        generator = np.random.default_rng([chance, 1])
        is_right_SN = generator.random((len(shares), num_examples)) < np.asarray(shares)[:, None]
        return Outcomes(
            metric=metric,
            labels_N=labels_N,
            predictions_SN=np.where(is_right_SN, labels_N, 1 - labels_N),
            seeds=tuple(seeds if seeds is not None else range(len(shares))),
        )

    return build
