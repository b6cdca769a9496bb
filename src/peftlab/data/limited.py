"""The rows of a split that a trial sees: all of them, or as many as its limit says.

Of a person's own files the rows are drawn, of each label its share, since such a file may be
sorted; of other data they are the first ones, as in run_glue.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from peftlab.core.identity import derived_seed
from peftlab.core.inputs import Example
from peftlab.data.encode import labels_of
from peftlab.data.held_out import strata
from peftlab.data.own_files import OwnSource
from peftlab.data.source import DataSource
from peftlab.tasks.problem import Values
from peftlab.tasks.spec import Task

DRAWN = "drawn-1"
"""A part of the name of rows that are drawn: another way to draw them takes another name."""


def limited(source: DataSource, task: Task, split: str, limit: int | None) -> Sequence[Example]:
    """Return the rows that a trial with such a limit sees, in the order of the split.

    Each keeps its row_id, its place in the whole split. Raises UserError where they cannot be read.
    """
    return within(source, source.examples(task, split), split, limit)


def within(
    source: DataSource, examples: Sequence[Example], split: str, limit: int | None
) -> Sequence[Example]:
    """Return the rows of the split that a limit keeps."""
    if limit is None or limit >= len(examples):
        return examples
    if not isinstance(source, OwnSource):
        return examples[:limit]
    seed = derived_seed(source.files.split_seed, "limit", split)
    return [examples[row] for row in drawn_rows(labels_of(examples), limit, seed=seed)]


def limit_key(source: DataSource, limit: int | None) -> str:
    """Return the key that, with the digest of the data, identifies the rows of a limit."""
    if limit is None or not isinstance(source, OwnSource):
        return str(limit)
    return f"{limit}:{DRAWN}:{source.files.split_seed}"


def drawn_rows(labels: Values, limit: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the places of `limit` rows, ascending: of every stratum its share, to the nearest row.

    The rows of a smaller limit are among those of a larger one. Rows are put in an order of which
    every beginning has these shares: the j-th of n rows of a stratum, in an order drawn for it,
    stands at (j + 1/2) / n (Webster's method of apportionment). Only the generator's raw bits are
    used, which are the same on every machine.
    """
    kinds = strata(labels)
    lots = np.random.Philox(key=seed).random_raw(len(kinds))
    by_kind = np.lexsort((lots, kinds))
    _, starts, counts = np.unique(kinds[by_kind], return_index=True, return_counts=True)
    rank = np.arange(len(kinds)) - np.repeat(starts, counts)
    at = np.empty(len(kinds))
    at[by_kind] = (2 * rank + 1) / (2 * np.repeat(counts, counts))
    return np.sort(np.lexsort((lots, at))[:limit]).astype(np.int64)
