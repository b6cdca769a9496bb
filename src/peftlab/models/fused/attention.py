"""Attention within each example of a packed batch, forward and backward, without a mask.

Queries, keys and values are columns of row-major arrays of T tokens; head h of an example reads
columns h * d to (h + 1) * d of its own rows. There may be fewer queries than keys: the last layer
has queries only at each example's first token.

Legend: T tokens, Q queries, H heads, d width of a head, D = H * d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from peftlab.models.attention import AttentionScores, Drawn, Padding, attend
from peftlab.models.fused import attention_kernels as kernels
from peftlab.models.fused.backends import NotRecordableError
from peftlab.models.fused.generator import signed, threshold_of
from peftlab.models.fused.launch import launch
from peftlab.models.fused.operation import Gradients, Node, Operation


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The number of heads, and the factor of a query-key product."""

    count: int
    scale: float


@dataclass(frozen=True, kw_only=True)
class DeviceSpans:
    """The spans of the examples for kernels of a device: int64 on the device, as in `Spans`.

    `example_B` holds the examples' numbers in the step; no example has more keys than `longest`.
    """

    query_offsets: Tensor
    key_offsets: Tensor
    example_B: Tensor
    longest: int


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The spans of the examples: example b has the keys key_offsets[b] to key_offsets[b + 1], and
    likewise queries; int64 [B + 1] on the CPU. `first_example` is the number of the first example
    in the step."""

    query_offsets: Tensor
    key_offsets: Tensor
    first_example: int = 0
    _paddings: dict[tuple[int, torch.device], Padding] = field(default_factory=dict, init=False)
    _on: dict[torch.device, DeviceSpans] = field(default_factory=dict, init=False)

    @classmethod
    def on_device(
        cls, *, query_offsets: Tensor, key_offsets: Tensor, example_B: Tensor, longest: int
    ) -> Spans:
        """Return spans that are already on a device, only for kernels of that device."""
        spans = cls(query_offsets=query_offsets, key_offsets=key_offsets)
        spans._on[key_offsets.device] = DeviceSpans(
            query_offsets=query_offsets,
            key_offsets=key_offsets,
            example_B=example_B,
            longest=longest,
        )
        return spans

    def on(self, device: torch.device) -> DeviceSpans:
        """Return the spans on a device, copied once for all layers."""
        found = self._on.get(device)
        if found is None:
            num_examples = len(self.key_offsets) - 1
            # Rows of an even size begin at multiples of 16 bytes, for which kernels are compiled.
            rows = torch.zeros(3, num_examples + 2 - num_examples % 2, dtype=torch.int64)
            rows[0, : num_examples + 1] = self.query_offsets
            rows[1, : num_examples + 1] = self.key_offsets
            rows[2] = torch.arange(rows.shape[1]) + self.first_example
            if device.type == "cuda":
                rows = rows.pin_memory().to(device, non_blocking=True)
            found = self._on[device] = DeviceSpans(
                query_offsets=rows[0],
                key_offsets=rows[1],
                example_B=rows[2, :num_examples],
                longest=self.longest,
            )
        return found

    @cached_property
    def longest(self) -> int:
        """The number of keys of the longest example, or an upper bound if it is not known."""
        for lying in self._on.values():
            return lying.longest
        return int(self.key_offsets.diff().max())

    def known_on(self, device: torch.device) -> DeviceSpans | None:
        """Return where the examples lie on a device; None unless they lie there already."""
        return self._on.get(device)

    def query_padding(self, device: torch.device) -> Padding:
        """Return the places of the queries in a padded batch, found once for all layers."""
        return self._padding(self.query_offsets, device)

    def key_padding(self, device: torch.device) -> Padding:
        """Return the places of the keys in a padded batch, found once for all layers."""
        return self._padding(self.key_offsets, device)

    def _padding(self, offsets: Tensor, device: torch.device) -> Padding:
        if any(lying.key_offsets is self.key_offsets for lying in self._on.values()):
            raise NotRecordableError("attention is computed padded")
        found = self._paddings.get((id(offsets), device))
        if found is None:
            found = self._paddings[id(offsets), device] = Padding.of(offsets, device)
        return found


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """The heads, the spans of the examples, and the key and probability of attention dropout."""

    heads: Heads
    spans: Spans
    key: int
    probability: float


class Attention(Operation):
    """The context [Q, D] of each query.

    Inputs are (qkv [T, 3 D],), or (q [Q, D], kv [T, 2 D]), or (q [Q, D], k [T, D], v [T, D]).
    """

    @staticmethod
    def parameters(settings: AttentionSettings) -> tuple[nn.Parameter, ...]:
        """Return no parameters."""
        return ()

    @staticmethod
    def forward(settings: AttentionSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the context, kept with the logarithm of each row's sum of exponentials."""
        size = width_of(inputs)
        query, key, value = split_projections(inputs, size)
        heads, spans = settings.heads, settings.spans
        num_queries = query.shape[0]
        out_QD = query.new_empty(num_queries, size)
        log_sum_HQ = query.new_empty(heads.count, num_queries)
        probability = settings.probability
        forward = kernels.Forward(
            q=query,
            k=key,
            v=value,
            query_offsets=spans.query_offsets,
            key_offsets=spans.key_offsets,
            out=out_QD.detach(),
            log_sum=log_sum_HQ,
            queries=num_queries,
            q_row=query.stride(0),
            k_row=key.stride(0),
            v_row=value.stride(0),
            size=size,
            examples=spans.key_offsets.shape[0] - 1,
            first_example=spans.first_example,
            heads=heads.count,
            key=signed(settings.key),
            threads=torch.get_num_threads(),
            scale=heads.scale,
            keep_scale=1 / (1 - probability),
            threshold=threshold_of(probability),
        )
        launch(kernels.forward, forward)
        return out_QD, forward

    @staticmethod
    def backward(
        settings: AttentionSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of queries, keys and values."""
        forward: kernels.Forward = kept
        found = [torch.empty_like(node.tensor) for node in inputs]
        dq, dk, dv = split_projections(found, gradient.shape[1])
        backward = kernels.Backward(**forward._asdict(), dout=gradient, dq=dq, dk=dk, dv=dv)
        launch(kernels.backward, backward)
        for node, gradient_of_node in zip(inputs, found, strict=True):
            node.add(gradient_of_node)

    @staticmethod
    def plain(settings: AttentionSettings, *inputs: Tensor) -> Tensor:
        """Return the context by torch, for all examples at once, padded to the longest."""
        num_heads, spans = settings.heads.count, settings.spans
        q, k, v = (
            x.unflatten(1, (num_heads, -1)) for x in split_projections(inputs, width_of(inputs))
        )
        queries, keys = spans.query_padding(q.device), spans.key_padding(q.device)
        drawn = None
        if settings.probability > 0:
            drawn = Drawn(
                key=settings.key,
                probability=settings.probability,
                first_example=spans.first_example,
            )
        scores = AttentionScores(
            scale=settings.heads.scale, is_causal=False, window=None, softcap=None
        )
        context_BHQd = attend(
            queries.pad(q), keys.pad(k), keys.pad(v), keys.is_real_B11L, scores, drawn
        )
        return queries.unpad(context_BHQd).flatten(1)


def width_of(projections: Sequence[Tensor]) -> int:
    """Return D, the number of columns of the queries."""
    return projections[-1].shape[1] // (4 - len(projections))


def split_projections(projections: Sequence[Tensor], width: int) -> list[Tensor]:
    """Return queries, keys and values, each a view [., D]."""
    parts = [part for joined in projections for part in joined.split(width, dim=1)]
    assert len(parts) == 3
    return parts
