"""A packed batch at a fixed place: what a step reads, in one row of memory that is written anew.

A program that was recorded with its addresses can then be played for other batches: nothing that
differs between them is known to the program but through the row. Batches of one layout have the
same number of examples, and of tokens once they are filled up: to a multiple of BUCKET. What fills
them up is one further example, which nothing pools.

Legend: T tokens, filled up, B examples, K keys of dropout, F numbers of the optimizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from peftlab.data.batches import Ragged
from peftlab.models.fused.attention import Spans
from peftlab.models.fused.batch import PackedBatch
from peftlab.models.fused.generator import KeyOnDevice
from peftlab.models.fused.rows import Rows

BUCKET = 64
"""The filled-up number of tokens is a multiple of this."""

Row = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float32]


def filled_up(num_tokens: int) -> int:
    """Return the tokens of a batch once it is filled up.

    >>> filled_up(1), filled_up(64), filled_up(65)
    (64, 64, 128)
    """
    return -(-num_tokens // BUCKET) * BUCKET


@dataclass(frozen=True, kw_only=True)
class BatchLayout:
    """The sizes of a batch, from which follows where its parts stand in a row of int64.

    No example is longer than `longest`, by which kernels are chosen. Each part begins at a multiple
    of 16 bytes, for which kernels are compiled. Labels are classes, or floats as their bits.
    """

    num_tokens: int
    num_examples: int
    longest: int
    labels_per_example: int
    num_keys: int
    num_numbers: int
    has_types: bool = True
    """Whether the rows come with token types, which some models look up as words."""

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Return where each part of the row stands."""
        examples = self.num_examples
        sizes = {
            "ids": self.num_tokens,
            "types": self.num_tokens,
            "examples": self.num_tokens,
            "positions": self.num_tokens,
            "key_offsets": examples + 2,
            "query_offsets": examples + 2,
            "example": examples + 1,
            "pooled": examples,
            "zeros": examples,
            "labels": examples * self.labels_per_example,
            "keys": self.num_keys,
            "numbers": -(-self.num_numbers // 2),
            "share": 1,
            "slot": 1,
        }
        parts, start = {}, 0
        for name, size in sizes.items():
            parts[name] = slice(start, start + size)
            start += size + size % 2
        return parts

    @property
    def size(self) -> int:
        """Return how many numbers the row has."""
        return int(self.parts["slot"].stop) + 1

    def row(
        self,
        rows: Ragged,
        labels: npt.NDArray[np.int64] | npt.NDArray[np.float64],
        keys: Sequence[int] | npt.NDArray[np.int64],
        *,
        first_example: int,
        share: float,
        slot: int,
        numbers: Numbers | None = None,
    ) -> Row:
        """Return the row of a batch.

        `share` is what the sum of the examples' losses is multiplied with, `slot` the place of the
        step's loss, `numbers` those of the optimizer where a step ends with this batch.
        """
        row, parts, num_examples = (
            np.zeros(self.size, dtype=np.int64),
            self.parts,
            len(rows.lengths),
        )
        assert num_examples == self.num_examples
        lengths = np.append(rows.lengths, self.num_tokens - int(rows.lengths.sum()))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        total = int(offsets[-2])
        examples = np.repeat(np.arange(num_examples + 1), lengths)
        row[parts["ids"]] = rows.ids[0]  # a word that is known fills up: not all of them are
        row[parts["ids"]][:total] = rows.ids
        if rows.type_ids is not None:
            row[parts["types"]][:total] = rows.type_ids
        row[parts["examples"]] = examples + first_example
        row[parts["positions"]][:total] = np.arange(total) - offsets[examples[:total]]
        row[parts["key_offsets"]] = offsets
        row[parts["query_offsets"]] = [*range(num_examples + 1), num_examples]
        row[parts["example"]] = np.arange(num_examples + 1) + first_example
        row[parts["pooled"]] = offsets[:num_examples]
        row[parts["labels"]] = labels.reshape(-1).view(np.int64)
        row[parts["keys"]] = keys
        if numbers is not None:
            row[parts["numbers"]].view(np.float32)[: self.num_numbers] = numbers
        row[parts["share"]].view(np.float64)[0] = share
        row[parts["slot"]] = slot
        return row


class StaticBatch:
    """The batch of a layout on a device: tensors that are parts of one row, int64 [size].

    The row may be given, as a part of one with the rows of several batches.
    """

    def __init__(
        self, layout: BatchLayout, device: torch.device, row: Tensor | None = None
    ) -> None:
        self.layout = layout
        if row is None:
            row = torch.zeros(layout.size, dtype=torch.int64, device=device)
        self.row = row
        parts = {name: self.row[part] for name, part in layout.parts.items()}
        self.ids_T, self.type_T = parts["ids"], parts["types"]
        self.slot = parts["slot"]
        self.share = parts["share"].view(torch.float64)[0]
        self.numbers = parts["numbers"].view(torch.float32)[: layout.num_numbers]
        self._labels, self._keys = parts["labels"], parts["keys"]

        def spans(query_offsets: Tensor) -> Spans:
            return Spans.on_device(
                query_offsets=query_offsets,
                key_offsets=parts["key_offsets"],
                example_B=parts["example"],
                longest=layout.longest,
            )

        self.batch = PackedBatch(
            token_rows=Rows(example_R=parts["examples"], position_R=parts["positions"]),
            pooled_rows=Rows(
                example_R=parts["example"][: layout.num_examples], position_R=parts["zeros"]
            ),
            token_spans=spans(parts["key_offsets"]),
            pooled_spans=spans(parts["query_offsets"]),
            pooled_B=parts["pooled"],
            type_T=self.type_T,
        )

    def key(self, index: int) -> KeyOnDevice:
        """Return a key of dropout."""
        return KeyOnDevice(self._keys[index : index + 1])

    def labels(self, shape: Sequence[int], *, are_classes: bool) -> Tensor:
        """Return the labels in their shape, [B, ...]: classes, or floats in double precision."""
        found = self._labels if are_classes else self._labels.view(torch.float64)
        return found.view(self.layout.num_examples, *shape)
