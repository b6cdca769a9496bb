"""Attention within each example of a packed batch, forward and backward, without a mask.

Queries, keys and values are columns of row-major arrays of T tokens; head h of an example reads
columns h * d to (h + 1) * d of its own rows. The probabilities are not stored: the backward pass
computes them again from the queries, the keys and the logarithm of each row's sum (Dao et al.
2022, arXiv 2205.14135, without its tiling). Heads are spread over the threads.

Queries may be fewer than keys: the last layer asks at each example's first token only.

Legend: T tokens, Q queries, H heads, d width of a head, D = H * d, L tokens of one example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peftlab.models.fused.generator import (
    HEAD_STRIDE,
    LOW_32,
    channel_bits,
    channel_bits_RC,
    row_bits,
    row_bits_R,
    threshold_of,
    u32,
    u64,
)
from peftlab.models.fused.jit import inline, kernel, part, prange
from peftlab.models.fused.launch import (
    Entry,
    Floats,
    Integers,
    Reals,
    integers,
    launch,
    matrix,
    signed,
)
from peftlab.models.fused.math32 import exponential
from peftlab.models.fused.products import ZERO, copy_scaled, product, transposed_product
from peftlab.models.fused.tape import Gradients, Node, Operation

f32 = np.float32
LANES = 8
"""Scratch rows are padded to a multiple of this, so that loops over keys run in whole vectors."""


@dataclass(frozen=True, kw_only=True)
class Heads:
    """How many heads, and what a query-key product is multiplied with."""

    count: int
    scale: float


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Where the examples lie: example b has keys key_offsets[b] to key_offsets[b + 1], its queries
    likewise. int64 [B + 1] on the CPU. `first_example` is the first one's number in the step."""

    query_offsets: Tensor
    key_offsets: Tensor
    first_example: int = 0


@inline
def _read(out_Ld: Floats, x_TW: Floats, first: int, column: int, factor: np.float32) -> None:
    """One head's columns of one example's rows, times `factor`."""
    width = out_Ld.shape[1]
    for j in range(out_Ld.shape[0]):
        copy_scaled(out_Ld[j], x_TW[first + j, column : column + width], factor)


@inline
def _read_transposed(
    out_dL: Floats, x_TW: Floats, first: int, length: int, column: int, width: int
) -> None:
    """The same with a column a row, 0 beyond the example's length."""
    for c in range(width):
        out = out_dL[c]
        for j in range(length):
            out[j] = x_TW[first + j, column + c]
        for j in range(length, len(out)):
            out[j] = ZERO


@inline
def _write(x_TW: Floats, first: int, column: int, rows_Ld: Floats, factor: np.float32) -> None:
    """Put one head's columns back in their place, times `factor`."""
    width = rows_Ld.shape[1]
    for j in range(rows_Ld.shape[0]):
        copy_scaled(x_TW[first + j, column : column + width], rows_Ld[j], factor)


@part
def _exponentials(s_L: Floats, shift: np.float32) -> None:
    for j in range(len(s_L)):
        s_L[j] = exponential(s_L[j] - shift)


@part
def _drop(
    s_L: Floats, factor: np.float32, bits: np.uint64, head: int, threshold: np.uint32
) -> None:
    """s times `factor` where kept, else 0."""
    low, high, channel = u32(bits & u64(LOW_32)), u32(bits >> u64(32)), u32(head * HEAD_STRIDE)
    for j in range(len(s_L)):
        kept = channel_bits(low, high, u32(channel + u32(j))) >= threshold
        s_L[j] = s_L[j] * factor if kept else ZERO


@part
def _differentiate(
    s_L: Floats,
    g_L: Floats,
    log_sum: np.float32,
    inner: np.float32,
    keep_scale: np.float32,
    bits: np.uint64,
    head: int,
    threshold: np.uint32,
) -> None:
    """From scores and gradients of the dropped probabilities: those probabilities, in s, and the
    gradients of the scores, in g."""
    low, high, channel = u32(bits & u64(LOW_32)), u32(bits >> u64(32)), u32(head * HEAD_STRIDE)
    for j in range(len(s_L)):
        p = exponential(s_L[j] - log_sum)
        kept = channel_bits(low, high, u32(channel + u32(j))) >= threshold
        factor = keep_scale if kept else ZERO
        g_L[j] = p * (g_L[j] * factor - inner)
        s_L[j] = p * factor


@kernel
def forward_kernel(
    q_QW: Floats,
    k_TW: Floats,
    v_TW: Floats,
    query_offsets: Integers,
    key_offsets: Integers,
    first_example: int,
    heads: int,
    width: int,
    scale: np.float32,
    key: np.uint64,
    threshold: np.uint32,
    keep_scale: np.float32,
    out_QD: Floats,
    log_sum_HQ: Floats,
) -> None:
    """Fill the context of each query and the logarithm of its row's sum of exponentials."""
    num_examples = len(key_offsets) - 1
    for index in prange(heads * num_examples):
        h = index // num_examples
        b = index - h * num_examples
        at = h * width
        first, length = key_offsets[b], key_offsets[b + 1] - key_offsets[b]
        start, num_queries = query_offsets[b], query_offsets[b + 1] - query_offsets[b]
        padded = (length + LANES - 1) // LANES * LANES
        queries, context = np.empty((num_queries, width), f32), np.empty((num_queries, width), f32)
        keys_dL, values = np.empty((width, padded), f32), np.empty((length, width), f32)
        scores = np.empty((num_queries, padded), f32)
        _read(queries, q_QW, start, at, scale)
        _read_transposed(keys_dL, k_TW, first, length, at, width)
        _read(values, v_TW, first, at, f32(1.0))
        product(scores, queries, keys_dL)
        for i in range(num_queries):
            s_L = scores[i]
            highest, total = s_L[0], ZERO
            for j in range(length):
                highest = max(highest, s_L[j])
            _exponentials(s_L, highest)
            for j in range(length):
                total += s_L[j]
            log_sum_HQ[h, start + i] = highest + f32(math.log(total))
            if threshold == u32(0):
                inverse = f32(1.0) / total
                for j in range(length):
                    s_L[j] *= inverse
            else:
                bits = row_bits(key, first_example + b, i)
                _drop(s_L, keep_scale / total, bits, h, threshold)
        product(context, scores, values)
        _write(out_QD, start, at, context, f32(1.0))


@kernel
def backward_kernel(
    dout_QD: Floats,
    out_QD: Floats,
    log_sum_HQ: Floats,
    q_QW: Floats,
    k_TW: Floats,
    v_TW: Floats,
    query_offsets: Integers,
    key_offsets: Integers,
    first_example: int,
    heads: int,
    width: int,
    scale: np.float32,
    key: np.uint64,
    threshold: np.uint32,
    keep_scale: np.float32,
    dq_QW: Floats,
    dk_TW: Floats,
    dv_TW: Floats,
) -> None:
    """Fill the gradients of queries, keys and values, in the same columns."""
    num_examples = len(key_offsets) - 1
    for index in prange(heads * num_examples):
        h = index // num_examples
        b = index - h * num_examples
        at = h * width
        first, length = key_offsets[b], key_offsets[b + 1] - key_offsets[b]
        start, num_queries = query_offsets[b], query_offsets[b + 1] - query_offsets[b]
        padded = (length + LANES - 1) // LANES * LANES
        queries, douts = np.empty((num_queries, width), f32), np.empty((num_queries, width), f32)
        keys, keys_dL = np.empty((length, width), f32), np.empty((width, padded), f32)
        dqueries, dkeys = np.empty((num_queries, width), f32), np.empty((length, width), f32)
        scores, grads = np.empty((num_queries, padded), f32), np.empty((num_queries, padded), f32)
        _read(queries, q_QW, start, at, scale)
        _read(douts, dout_QD, start, at, f32(1.0))
        _read(keys, k_TW, first, at, f32(1.0))
        _read_transposed(keys_dL, k_TW, first, length, at, width)
        product(scores, queries, keys_dL)
        _read_transposed(keys_dL, v_TW, first, length, at, width)
        product(grads, douts, keys_dL)  # keys_dL holds the values now
        for i in range(num_queries):
            # sum over j of p[j] * dp[j], which is the same with and without dropout
            inner, dout, out = ZERO, douts[i], out_QD[start + i, at : at + width]
            for c in range(width):
                inner += dout[c] * out[c]
            bits = row_bits(key, first_example + b, i)
            log_sum = log_sum_HQ[h, start + i]
            _differentiate(scores[i], grads[i], log_sum, inner, keep_scale, bits, h, threshold)
        product(dqueries, grads, keys)
        _write(dq_QW, start, at, dqueries, scale)
        transposed_product(dkeys, grads, queries)
        _write(dk_TW, first, at, dkeys, f32(1.0))
        transposed_product(dkeys, scores, douts)  # of the values now
        _write(dv_TW, first, at, dkeys, f32(1.0))


@Entry
def _forward_entry(n: Integers, f: Reals) -> None:
    queries, tokens, size, examples, heads = n[7], n[8], n[12], n[13], n[15]
    forward_kernel(
        matrix(n[0], queries, n[9]),
        matrix(n[1], tokens, n[10]),
        matrix(n[2], tokens, n[11]),
        integers(n[3], examples + 1),
        integers(n[4], examples + 1),
        n[14],
        heads,
        size // heads,
        f32(f[0]),
        u64(n[16]),
        u32(n[17]),
        f32(f[1]),
        matrix(n[5], queries, size),
        matrix(n[6], heads, queries),
    )


@Entry
def _backward_entry(n: Integers, f: Reals) -> None:
    queries, tokens, size, examples, heads = n[11], n[12], n[16], n[17], n[19]
    backward_kernel(
        matrix(n[5], queries, size),
        matrix(n[6], queries, size),
        matrix(n[7], heads, queries),
        matrix(n[0], queries, n[13]),
        matrix(n[1], tokens, n[14]),
        matrix(n[2], tokens, n[15]),
        integers(n[3], examples + 1),
        integers(n[4], examples + 1),
        n[18],
        heads,
        size // heads,
        f32(f[0]),
        u64(n[20]),
        u32(n[21]),
        f32(f[1]),
        matrix(n[8], queries, n[13]),
        matrix(n[9], tokens, n[14]),
        matrix(n[10], tokens, n[15]),
    )


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """Heads, where the examples lie, and the key and probability of the dropout of attention."""

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
        """None."""
        return ()

    @staticmethod
    def forward(settings: AttentionSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """The context is kept, and the logarithm of each row's sum of exponentials."""
        size = _width(inputs)
        query, key, value = _split(inputs, size)
        heads, spans = settings.heads, settings.spans
        num_queries = len(query)
        out_QD = query.new_empty(num_queries, size)
        log_sum_HQ = query.new_empty(heads.count, num_queries)
        numbers = (
            num_queries,
            len(key),
            query.stride(0),
            key.stride(0),
            value.stride(0),
            size,
            len(spans.key_offsets) - 1,
            spans.first_example,
            heads.count,
            signed(settings.key),
            int(threshold_of(settings.probability)),
        )
        floats = (heads.scale, 1 / (1 - settings.probability))
        read = (query, key, value, spans.query_offsets, spans.key_offsets)
        launch(_forward_entry, (*read, out_QD, log_sum_HQ), numbers, floats)
        return out_QD, (read, out_QD.detach(), log_sum_HQ, numbers, floats)

    @staticmethod
    def backward(
        settings: AttentionSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Gradients of queries, keys and values."""
        read, out_QD, log_sum_HQ, numbers, floats = kept
        found = [torch.empty_like(node.tensor) for node in inputs]
        written = _split(found, gradient.shape[1])
        launch(
            _backward_entry,
            (*read, gradient, out_QD, log_sum_HQ, *written),
            numbers,
            floats,
        )
        for node, gradient_of_node in zip(inputs, found, strict=True):
            node.add(gradient_of_node)

    @staticmethod
    def plain(settings: AttentionSettings, *inputs: Tensor) -> Tensor:
        """A loop over the examples."""
        heads, spans = settings.heads, settings.spans
        key, probability = settings.key, settings.probability
        q, k, v = _split(inputs, _width(inputs))
        contexts = []
        for b in range(len(spans.key_offsets) - 1):
            queries = slice(spans.query_offsets[b], spans.query_offsets[b + 1])
            keys = slice(spans.key_offsets[b], spans.key_offsets[b + 1])
            q_HQd, k_HLd, v_HLd = (
                x.unflatten(1, (heads.count, -1)).transpose(0, 1)
                for x in (q[queries], k[keys], v[keys])
            )
            p_HQL = (q_HQd @ k_HLd.transpose(1, 2) * heads.scale).softmax(dim=-1)
            if probability > 0:
                p_HQL = p_HQL * _kept(p_HQL, spans.first_example + b, key, probability)
            contexts.append((p_HQL @ v_HLd).transpose(0, 1).flatten(1))
        return torch.cat(contexts)


def _kept(p_HQL: Tensor, example: int, key: int, probability: float) -> Tensor:
    """1 / (1 - probability) where a probability of one example is kept, else 0; [H, Q, L]."""
    num_heads, num_queries, length = p_HQL.shape
    device = p_HQL.device
    position_Q = torch.arange(num_queries, device=device)
    example_Q = torch.full_like(position_Q, example)
    channel_HL = (
        torch.arange(num_heads, device=device)[:, None] * HEAD_STRIDE
        + torch.arange(length, device=device)
    ).flatten()
    bits = channel_bits_RC(row_bits_R(key, example_Q, position_Q), channel_HL)
    kept_QHL = (bits >= int(threshold_of(probability))).unflatten(1, (num_heads, length))
    scaled: Tensor = kept_QHL.transpose(0, 1).to(p_HQL.dtype) / (1 - probability)
    return scaled


def _width(projections: Sequence[Tensor]) -> int:
    """D, the columns of all queries."""
    return projections[-1].shape[1] // (4 - len(projections))


def _split(projections: Sequence[Tensor], width: int) -> list[Tensor]:
    """Queries, keys and values, each [., D]; views."""
    parts = [part for joined in projections for part in joined.split(width, dim=1)]
    assert len(parts) == 3
    return parts
