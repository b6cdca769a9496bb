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
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd import Function

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
from peftlab.models.fused.jit import inline, kernel, part, prange, runs_kernels
from peftlab.models.fused.math32 import exponential
from peftlab.models.fused.products import ZERO, Floats, copy_scaled, product, transposed_product

f32 = np.float32
Offsets = npt.NDArray[np.int64]
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

    query_offsets: Offsets
    key_offsets: Offsets
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
    q_column: int,
    k_TW: Floats,
    k_column: int,
    v_TW: Floats,
    v_column: int,
    query_offsets: Offsets,
    key_offsets: Offsets,
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
        _read(queries, q_QW, start, q_column + at, scale)
        _read_transposed(keys_dL, k_TW, first, length, k_column + at, width)
        _read(values, v_TW, first, v_column + at, f32(1.0))
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
    q_column: int,
    k_TW: Floats,
    k_column: int,
    v_TW: Floats,
    v_column: int,
    query_offsets: Offsets,
    key_offsets: Offsets,
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
        _read(queries, q_QW, start, q_column + at, scale)
        _read(douts, dout_QD, start, at, f32(1.0))
        _read(keys, k_TW, first, k_column + at, f32(1.0))
        _read_transposed(keys_dL, k_TW, first, length, k_column + at, width)
        product(scores, queries, keys_dL)
        _read_transposed(keys_dL, v_TW, first, length, v_column + at, width)
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
        _write(dq_QW, start, q_column + at, dqueries, scale)
        transposed_product(dkeys, grads, queries)
        _write(dk_TW, first, k_column + at, dkeys, f32(1.0))
        transposed_product(dkeys, scores, douts)  # of the values now
        _write(dv_TW, first, v_column + at, dkeys, f32(1.0))


def attention(
    projections: tuple[Tensor, ...], heads: Heads, spans: Spans, key: int, probability: float
) -> Tensor:
    """The context [Q, D] of each query, differentiable.

    `projections` are (qkv [T, 3 D],), or (q [Q, D], kv [T, 2 D]), or (q [Q, D], k [T, D],
    v [T, D]). Attention probabilities are dropped with `probability`.
    """
    if runs_kernels(*projections):
        return _Attention.apply(heads, spans, key, probability, *projections)  # type: ignore[no-any-return, no-untyped-call]
    return plain_attention(projections, heads, spans, key, probability)


def plain_attention(
    projections: tuple[Tensor, ...], heads: Heads, spans: Spans, key: int, probability: float
) -> Tensor:
    """The plain twin of `attention`: a loop over the examples."""
    width = projections[-1].shape[1] // (4 - len(projections))
    q, k, v = _split(projections, width)
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


def _split(projections: tuple[Tensor, ...], width: int) -> list[Tensor]:
    """Queries, keys and values, each [., D]; views."""
    parts = [part for joined in projections for part in joined.split(width, dim=1)]
    assert len(parts) == 3
    return parts


def _columns(projections: tuple[Any, ...], width: int) -> list[Any]:
    """(array, first column) of queries, keys and values, as the kernels take them."""
    found: list[Any] = []
    for joined in projections:
        for column in range(0, joined.shape[1], width):
            found += [joined, column]
    return found


class _Attention(Function):
    @staticmethod
    def forward(
        ctx: Any, heads: Heads, spans: Spans, key: int, probability: float, *projections: Tensor
    ) -> Tensor:
        projections = tuple(joined.detach().contiguous() for joined in projections)
        width = projections[-1].shape[1] // (4 - len(projections))
        num_queries = int(spans.query_offsets[-1])
        out_QD = projections[0].new_empty(num_queries, width)
        log_sum_HQ = projections[0].new_empty(heads.count, num_queries)
        ctx.settings = (
            spans.query_offsets,
            spans.key_offsets,
            spans.first_example,
            heads.count,
            width // heads.count,
            f32(heads.scale),
            u64(key),
            threshold_of(probability),
            f32(1 / (1 - probability)),
        )
        ctx.width = width
        forward_kernel(
            *_columns(tuple(joined.numpy() for joined in projections), width),
            *ctx.settings,
            out_QD.numpy(),
            log_sum_HQ.numpy(),
        )
        ctx.save_for_backward(out_QD, log_sum_HQ, *projections)
        return out_QD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        out_QD, log_sum_HQ, *projections = ctx.saved_tensors
        gradients = [torch.empty_like(joined) for joined in projections]
        dq, _, dk, _, dv, _ = _columns(tuple(g.numpy() for g in gradients), ctx.width)
        backward_kernel(
            grads[0].contiguous().numpy(),
            out_QD.numpy(),
            log_sum_HQ.numpy(),
            *_columns(tuple(joined.numpy() for joined in projections), ctx.width),
            *ctx.settings,
            dq,
            dk,
            dv,
        )
        return None, None, None, None, *gradients
