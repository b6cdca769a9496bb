"""Where the rows of several models lie on a device, one model's behind the other's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from peftlab.models.cuda.jit import on_device
from peftlab.models.fused.attention import Spans
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.shared import slices

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Lying:
    """The rows of M models: whose each is, and where each model's begin and the last one's end.

    No model has more rows than `longest`.
    """

    rows: Rows
    model_R: Tensor
    bounds: Tensor
    longest: int


class _Recent(Generic[T]):
    """What was found for the last few tuples of objects, which are known again by identity."""

    def __init__(self) -> None:
        self._known: deque[tuple[tuple[Any, ...], T]] = deque(maxlen=8)

    def of(self, objects: Sequence[Any], find: Callable[[], T]) -> T:
        """Return what was found for these objects, or find it."""
        for known, found in self._known:
            if len(known) == len(objects) and all(map(is_, known, objects)):
                return found
        found = find()
        self._known.append((tuple(objects), found))
        return found


_rows = _Recent[Lying]()
_spans = _Recent[tuple[Spans, Tensor]]()


def lying(models: Sequence[Rows]) -> Lying:
    """Return where these rows lie; found once for all layers."""
    return _rows.of(models, lambda: _find(models))


def joined_spans(models: Sequence[Spans], device: torch.device) -> tuple[Spans, Tensor]:
    """Return the spans of all models as one, on a device, and whose each example is, [B]."""
    return _spans.of(models, lambda: _join(models, device))


def _find(models: Sequence[Rows]) -> Lying:
    sizes, device = [len(rows) for rows in models], models[0].example_R.device
    found = np.concatenate([np.cumsum([0, *sizes]), np.repeat(np.arange(len(models)), sizes)])
    on_card = on_device(torch.from_numpy(found), device)
    return Lying(
        rows=Rows(
            example_R=torch.cat([rows.example_R for rows in models]),
            position_R=torch.cat([rows.position_R for rows in models]),
        ),
        model_R=on_card[len(models) + 1 :],
        bounds=on_card[: len(models) + 1],
        longest=max(sizes),
    )


def _join(models: Sequence[Spans], device: torch.device) -> tuple[Spans, Tensor]:
    num_examples = [len(spans.key_offsets) - 1 for spans in models]
    queries, keys, examples, longest = [torch.zeros(1, dtype=torch.int64)], [], [], 0
    keys.append(queries[0])
    for spans, number in zip(models, num_examples, strict=True):
        queries.append(spans.query_offsets[1:] + queries[-1][-1])
        keys.append(spans.key_offsets[1:] + keys[-1][-1])
        examples.append(torch.arange(number) + spans.first_example)
        longest = max(longest, int(spans.key_offsets.diff().max()))
    model_B = torch.arange(len(models)).repeat_interleave(torch.tensor(num_examples))
    parts = [torch.cat(queries), torch.cat(keys), torch.cat(examples), model_B]
    joined = on_device(torch.cat(parts), device)
    query_offsets, key_offsets, example_B, on_card = (
        joined[part] for part in slices([len(part) for part in parts])
    )
    spans = Spans.on_device(
        query_offsets=query_offsets, key_offsets=key_offsets, example_B=example_B, longest=longest
    )
    return spans, on_card
