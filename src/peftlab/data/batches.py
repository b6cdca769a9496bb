"""The order of the examples and the batches made of it: index arithmetic, no tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peftlab.core.identity import derived_seed
from peftlab.data.encode import Encoded

Indices = npt.NDArray[np.int64]


def epoch_order(num_examples: int, *, seed: int, epoch: int) -> Indices:
    """Return a random permutation of the examples, a function of (seed, epoch) alone.

    No generator is carried from epoch to epoch, so training can go on from any of them.
    """
    generator = np.random.Generator(np.random.Philox(key=derived_seed(seed, "epoch", epoch)))
    return generator.permutation(num_examples).astype(np.int64)


def batches(order: Indices, size: int) -> Iterator[Indices]:
    """Yield the order in batches of `size`; the last one may be shorter.

    >>> [batch.tolist() for batch in batches(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    for start in range(0, len(order), size):
        yield order[start : start + size]


def batches_of_tokens(
    order: Indices, lengths: npt.NDArray[np.int64], most: int
) -> Iterator[Indices]:
    """Yield the order in batches of at most `most` tokens; a longer example is a batch of its own.

    >>> lengths = np.array([4, 3, 2, 2, 1])
    >>> [batch.tolist() for batch in batches_of_tokens(np.arange(5), lengths, 5)]
    [[0], [1, 2], [3, 4]]
    """
    start, tokens = 0, 0
    for position, row in enumerate(order):
        if position > start and tokens + lengths[row] > most:
            yield order[start:position]
            start, tokens = position, 0
        tokens += lengths[row]
    if start < len(order):
        yield order[start:]


def by_length(lengths: npt.NDArray[np.int64]) -> Indices:
    """Return all examples, the longest first; equal lengths keep their order."""
    return np.argsort(-lengths, kind="stable").astype(np.int64)


def padded_tokens(lengths: npt.NDArray[np.int64], order: Indices, size: int) -> int:
    """Return the tokens in the order's batches, each padded to its longest example.

    >>> padded_tokens(np.array([3, 5, 2]), np.array([0, 1, 2]), 2)
    12
    """
    ordered = lengths[order]
    starts = np.arange(0, len(ordered), size)
    longest = np.maximum.reduceat(ordered, starts)
    sizes = np.minimum(size, len(ordered) - starts)
    return int((longest * sizes).sum())


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """Chosen rows one after another: ids [T], token types [T] or None, lengths [B]."""

    ids: npt.NDArray[np.int32]
    type_ids: npt.NDArray[np.uint8] | None
    lengths: npt.NDArray[np.int64]


def gather(data: Encoded, rows: Indices) -> Ragged:
    """Return the tokens of these rows, in their order, copied only once."""
    spans = [slice(data.offsets[row], data.offsets[row + 1]) for row in rows]
    type_ids = data.type_ids
    return Ragged(
        ids=np.concatenate([data.ids[span] for span in spans]),
        type_ids=None if type_ids is None else np.concatenate([type_ids[span] for span in spans]),
        lengths=data.lengths[rows],
    )
