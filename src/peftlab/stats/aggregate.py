"""Scores of one arm on one task over its seeds, summed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Mean, standard deviation (n - 1; None for one value), least and greatest of n values."""

    num_values: int
    mean: float
    sd: float | None
    least: float
    greatest: float


def aggregate(values: Sequence[float]) -> Aggregate:
    """The summary of at least one value; ValueError for none.

    >>> aggregate([80.0, 84.0]).mean
    82.0
    """
    if not values:
        raise ValueError("no values to sum up")
    array = np.asarray(values, dtype=np.float64)
    return Aggregate(
        num_values=len(array),
        mean=float(array.mean()),
        sd=float(array.std(ddof=1)) if len(array) > 1 else None,
        least=float(array.min()),
        greatest=float(array.max()),
    )
