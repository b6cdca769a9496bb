"""The bounds of the rows of several models on a device, one model's rows after the other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from peftlab.models.cuda.jit import on_device
from peftlab.models.fused.attention import DeviceSpans, Spans
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.shared import Several


@dataclass(frozen=True, kw_only=True)
class Lying:
    """The rows of M models: whose each is, and where each model's begin and the last one's end.

    No model has more rows than `longest`.
    """

    rows: Rows
    model_R: Tensor
    bounds: Tensor
    longest: int


def lying(several: Several, models: Sequence[Rows]) -> Lying:
    """Return where these rows lie; found once for all operations on them."""
    key = ("rows", *map(id, models))
    if key not in several.found:
        several.found[key] = (models, _find(models))  # with the models, lest others get their ids
    found: Lying = several.found[key][1]
    return found


def joined_spans(several: Several, device: torch.device) -> tuple[Spans, Tensor]:
    """Return the spans of all attention as one, on a device, and whose each example is, [B]."""
    models = [settings.spans for settings in several.settings]
    key = ("spans", *map(id, models))
    if key not in several.found:
        starts = [[rows.start for rows in of_input] for of_input in several.rows]
        several.found[key] = (models, _join(models, starts[0], starts[-1], device))
    found: tuple[Spans, Tensor] = several.found[key][1]
    return found


@lru_cache(maxsize=64)
def _whose(sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return where each model's rows begin and the last one's end, and whose each row is."""
    found = np.concatenate([np.cumsum([0, *sizes]), np.repeat(np.arange(len(sizes)), sizes)])
    on_card = on_device(torch.from_numpy(found), device)
    bounds, model_R = on_card.split([len(sizes) + 1, sum(sizes)])
    return bounds, model_R


def _find(models: Sequence[Rows]) -> Lying:
    sizes = tuple(len(rows) for rows in models)
    bounds, model_R = _whose(sizes, models[0].example_R.device)
    return Lying(
        rows=Rows(
            example_R=torch.cat([rows.example_R for rows in models]),
            position_R=torch.cat([rows.position_R for rows in models]),
        ),
        model_R=model_R,
        bounds=bounds,
        longest=max(sizes),
    )


def _join(
    models: Sequence[Spans],
    first_queries: Sequence[int],
    first_keys: Sequence[int],
    device: torch.device,
) -> tuple[Spans, Tensor]:
    """Return the spans with each model's offsets counted from the first row of all."""
    known = [spans.known_on(device) for spans in models]
    if None in known:  # they come from the host: all at once
        parts = [
            DeviceSpans(
                query_offsets=spans.query_offsets,
                key_offsets=spans.key_offsets,
                example_B=torch.arange(len(spans.key_offsets) - 1) + spans.first_example,
                longest=int(spans.key_offsets.diff().max()),
            )
            for spans in models
        ]
    else:
        parts = [spans for spans in known if spans is not None]
    numbers = [len(spans.example_B) for spans in parts]
    host = parts[0].example_B.device
    end = torch.zeros(1, dtype=torch.int64, device=host)
    joined = []
    for offsets, starts in (
        ([spans.query_offsets for spans in parts], first_queries),
        ([spans.key_offsets for spans in parts], first_keys),
    ):
        moved = [
            of_model[1 : number + 1] + start
            for of_model, number, start in zip(offsets, numbers, starts, strict=True)
        ]
        joined.append(torch.cat([end, *moved]))
    joined.append(torch.cat([spans.example_B for spans in parts]))
    if None in known:
        sizes = [len(part) for part in joined]
        joined = [*on_device(torch.cat(joined), device).split(sizes)]
    query_offsets, key_offsets, example_B = joined
    spans = Spans.on_device(
        query_offsets=query_offsets,
        key_offsets=key_offsets,
        example_B=example_B,
        longest=max(spans.longest for spans in parts),
    )
    return spans, _whose(tuple(numbers), device)[1]
