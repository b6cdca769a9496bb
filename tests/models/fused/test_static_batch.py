"""A batch written into a row is the batch that the row was written for, filled up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from peftlab.data.batches import Ragged
from peftlab.models.fused.batch import PackedBatch
from peftlab.models.fused.static_batch import BUCKET, BatchLayout, StaticBatch, filled_up

CPU = torch.device("cpu")
LENGTHS = np.array([3, 1, 5])
TOTAL = int(LENGTHS.sum())
KEYS, NUMBERS = [7, -9, 11], np.arange(5, dtype=np.float32)


def written(labels: Any, *, num_tokens: int = 16) -> StaticBatch:
    rows = Ragged(
        ids=np.arange(5, 5 + TOTAL, dtype=np.int32),
        type_ids=(np.arange(TOTAL) % 2).astype(np.uint8),
        lengths=LENGTHS,
    )
    layout = BatchLayout(
        num_tokens=num_tokens, num_examples=3, longest=5, labels_per_example=labels[0].size,
        num_keys=len(KEYS), num_numbers=len(NUMBERS),
    )  # fmt: skip
    static = StaticBatch(layout, CPU)
    row = layout.row(rows, labels, KEYS, first_example=4, share=0.3, slot=6, numbers=NUMBERS)
    static.row.copy_(torch.from_numpy(row))
    return static


@pytest.mark.parametrize("num_tokens", [TOTAL, 16])
def test_its_tokens_are_those_of_the_batch_and_the_rest_is_an_example_of_its_own(
    num_tokens: int,
) -> None:
    static = written(np.array([0, 1, 1]), num_tokens=num_tokens)
    found, plain = static.batch, PackedBatch.of(LENGTHS, first_example=4)
    assert static.ids_T[:TOTAL].tolist() == [*range(5, 5 + TOTAL)]
    assert static.type_T[:TOTAL].tolist() == [i % 2 for i in range(TOTAL)]
    assert torch.equal(found.token_rows.example_R[:TOTAL], plain.token_rows.example_R)
    assert torch.equal(found.token_rows.position_R[:TOTAL], plain.token_rows.position_R)
    assert torch.equal(found.pooled_rows.example_R, plain.pooled_rows.example_R)
    assert torch.equal(found.pooled_rows.position_R, plain.pooled_rows.position_R)
    assert torch.equal(found.pooled_B, plain.pooled_B)
    assert found.token_rows.example_R[TOTAL:].tolist() == [4 + 3] * (num_tokens - TOTAL)
    spans, of_pooled = found.token_spans.on(CPU), found.pooled_spans.on(CPU)
    ends = [*np.cumsum(LENGTHS).tolist(), num_tokens]
    assert spans.key_offsets.tolist() == spans.query_offsets.tolist() == [0, *ends]
    assert of_pooled.key_offsets.tolist() == [0, *ends]
    assert of_pooled.query_offsets.tolist() == [0, 1, 2, 3, 3]  # nothing asks in the last one
    assert spans.example_B.tolist() == [4, 5, 6, 7]


def test_words_that_fill_up_are_of_the_batch() -> None:
    """If only the rows in use of a table are trained, other rows must not be looked up."""
    static = written(np.array([0, 1, 1]))
    assert set(static.ids_T.tolist()) <= {*range(5, 5 + TOTAL)}


@pytest.mark.parametrize(
    "labels", [np.array([2, 0, 1]), np.array([0.5, -1.0, 3.25]), np.array([[0.0, 1.0]] * 3)]
)
def test_labels_keys_and_numbers_come_through(labels: Any) -> None:
    static = written(labels)
    found = static.labels(labels.shape[1:], are_classes=labels.dtype.kind == "i")
    assert found.shape == labels.shape
    assert found.tolist() == labels.tolist()
    assert [static.key(i).place.item() for i in range(3)] == KEYS
    assert static.numbers.tolist() == NUMBERS.tolist()
    assert static.share.item() == 0.3
    assert static.slot.tolist() == [6]


def test_every_part_begins_at_a_multiple_of_16_bytes() -> None:
    static = written(np.array([0, 1, 1]), num_tokens=TOTAL)
    assert all(part.start % 2 == 0 for part in static.layout.parts.values())
    parts = sorted(static.layout.parts.values(), key=lambda part: part.start)
    assert all(one.stop <= other.start for one, other in pairwise(parts))
    assert filled_up(BUCKET + 1) == 2 * BUCKET
