"""Rows of train that are held out: drawn by a trial's seed alone, so the same for every arm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from peftlab.core.identity import content_id, derived_seed
from peftlab.core.selection import Selection
from peftlab.data.batches import Indices, gather
from peftlab.data.encode import Encoded
from peftlab.tasks.problem import Values, problem_type_of

FARTHEST = 2.0**62
"""The bound beyond which all scores are of one stratum: a conversion to an integer would differ by
machine."""
LEAST_ALIKE = 10
"""The fewest rows with one set of labels that form a stratum; rarer sets share one."""


def is_held_out(labels: Values, selection: Selection, *, seed: int) -> npt.NDArray[np.bool_]:
    """Return whether each row is held out: of every stratum the same share, to the nearest row."""
    chosen = np.zeros(len(labels), dtype=bool)
    num_rows = selection.num_held_out(len(labels))
    chosen[_stratified(strata(labels), num_rows, seed=derived_seed(seed, "held-out"))] = True
    return chosen


def strata(labels: Values) -> npt.NDArray[np.int64]:
    """Return the stratum of each row, int64 [N].

    It is its class, its score to the nearest whole number, or its set of labels, rare sets being
    one stratum.
    """
    problem_type = problem_type_of(labels)
    if problem_type == "regression":
        return np.rint(np.clip(labels, -FARTHEST, FARTHEST)).astype(np.int64)
    if problem_type == "single_label_classification":
        return labels.astype(np.int64)
    _, kinds, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    kinds = kinds.reshape(-1)
    return np.where(counts[kinds] < LEAST_ALIKE, -1, kinds).astype(np.int64)


def take(data: Encoded, rows: Indices) -> Encoded:
    """Return only these rows, in the order given; their name follows from that of the whole."""
    chosen = gather(data, rows)
    digest = content_id([data.name, rows.tolist()], length=32)
    return Encoded(
        ids=chosen.ids,
        type_ids=chosen.type_ids,
        offsets=np.concatenate([[0], np.cumsum(chosen.lengths)]).astype(np.int64),
        labels=np.asarray(data.labels[rows]),
        row_ids=np.asarray(data.row_ids[rows]),
        name=digest if data.name else "",
    )


def _stratified(labels: npt.NDArray[np.int64], num_rows: int, *, seed: int) -> Indices:
    """Return `num_rows` places, a share of each stratum; the rest goes by largest remainder."""
    kinds, kind_index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = num_rows * counts / len(labels)
    wanted = np.floor(shares).astype(np.int64)
    by_remainder = np.argsort(wanted - shares, kind="stable")
    wanted[by_remainder[: num_rows - wanted.sum()]] += 1
    generator = np.random.Generator(np.random.Philox(key=seed))
    drawn = [
        generator.permutation(np.flatnonzero(kind_index == kind))[: wanted[kind]]
        for kind in range(len(kinds))
    ]
    return np.concatenate(drawn).astype(np.int64)
