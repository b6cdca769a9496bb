"""The number of epochs of a drafted study: the usual three, or more where they are too few steps.

On few rows a model that was trained for three epochs has often not learned yet: it takes some
hundreds of steps however few the rows are (Zhang et al. 2021, arXiv 2006.05987). Twenty epochs do
no harm there and make runs more alike (Mosbach et al. 2021, arXiv 2006.04884).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BATCH_SIZE = 16
USUAL, MOST = 3, 20
ENOUGH_STEPS = 500
"""Half a thousand steps are those of three epochs of 2,700 rows, about as many as RTE has."""


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """A number of epochs and, as a comment in the study, why it is that."""

    number: int
    why: str


def epochs_for(num_rows: int) -> Epochs:
    """Return the fewest epochs of so many rows that have enough steps: 3 or more, and at most 20.

    >>> epochs_for(67_349)
    Epochs(number=3, why='')
    >>> epochs_for(1_000)
    Epochs(number=8, why='504 steps: 3 epochs of few rows teach little, arXiv 2006.05987')
    >>> epochs_for(180).number
    20
    """
    steps = math.ceil(num_rows / BATCH_SIZE)
    number = min(max(math.ceil(ENOUGH_STEPS / steps), USUAL), MOST)
    if number == USUAL:
        return Epochs(number=number, why="")
    why = f"{number * steps} steps: {USUAL} epochs of few rows teach little, arXiv 2006.05987"
    return Epochs(number=number, why=why)
