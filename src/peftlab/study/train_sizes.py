"""The numbers of training rows of a study with `train_sizes`: their order, and the largest.

Everything that a study says of its arms without naming a number of rows is of the largest one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def order_of_size(size: int | None) -> float:
    """Return a number by which sizes are in order: all rows (None) are the most."""
    return math.inf if size is None else size


def largest_sizes(sizes: Iterable[tuple[str, int | None]]) -> Mapping[str, int | None]:
    """Return the largest of the sizes by task.

    >>> largest_sizes([("cola", 100), ("cola", None), ("rte", 100), ("rte", 300)])
    {'cola': None, 'rte': 300}
    """
    found: dict[str, int | None] = {}
    for task, size in sizes:
        if task not in found or order_of_size(size) > order_of_size(found[task]):
            found[task] = size
    return found
