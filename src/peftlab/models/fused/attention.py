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

from peftlab.models.fused.dropout import ZERO, Floats
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
from peftlab.models.fused.jit import inline, kernel, prange, runs_kernels
from peftlab.models.fused.math32 import exponential

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
    likewise. int64 [B + 1] on the CPU. `first_example` is its number in the step's batch."""

    query_offsets: Offsets
    key_offsets: Offsets
    longest: int
    first_example: int = 0


@inline
def products(out_L: Floats, x_d: Floats, columns_dL: Floats, scale: np.float32) -> None:
    """out[j] = scale * sum over c of x[c] * columns[c, j]."""
    width, length = len(x_d), len(out_L)
    for j in range(length):
        out_L[j] = ZERO
    for group in range(width // 8):
        c = 8 * group
        x0, x1, x2, x3 = x_d[c] * scale, x_d[c + 1] * scale, x_d[c + 2] * scale, x_d[c + 3] * scale
        x4, x5, x6 = x_d[c + 4] * scale, x_d[c + 5] * scale, x_d[c + 6] * scale
        x7 = x_d[c + 7] * scale
        k0, k1, k2, k3 = columns_dL[c], columns_dL[c + 1], columns_dL[c + 2], columns_dL[c + 3]
        k4, k5, k6 = columns_dL[c + 4], columns_dL[c + 5], columns_dL[c + 6]
        k7 = columns_dL[c + 7]
        for j in range(length):
            out_L[j] += (x0 * k0[j] + x1 * k1[j] + x2 * k2[j] + x3 * k3[j]) + (
                x4 * k4[j] + x5 * k5[j] + x6 * k6[j] + x7 * k7[j]
            )
    for c in range(width // 8 * 8, width):
        x0, k0 = x_d[c] * scale, columns_dL[c]
        for j in range(length):
            out_L[j] += x0 * k0[j]


@inline
def combination(out_d: Floats, weights_L: Floats, rows_Ld: Floats) -> None:
    """out[c] = sum over j of weights[j] * rows[j, c]."""
    width, length = len(out_d), len(weights_L)
    for c in range(width):
        out_d[c] = ZERO
    for group in range(length // 8):
        j = 8 * group
        w0, w1, w2, w3 = weights_L[j], weights_L[j + 1], weights_L[j + 2], weights_L[j + 3]
        w4, w5, w6, w7 = weights_L[j + 4], weights_L[j + 5], weights_L[j + 6], weights_L[j + 7]
        r0, r1, r2, r3 = rows_Ld[j], rows_Ld[j + 1], rows_Ld[j + 2], rows_Ld[j + 3]
        r4, r5, r6, r7 = rows_Ld[j + 4], rows_Ld[j + 5], rows_Ld[j + 6], rows_Ld[j + 7]
        for c in range(width):
            out_d[c] += (w0 * r0[c] + w1 * r1[c] + w2 * r2[c] + w3 * r3[c]) + (
                w4 * r4[c] + w5 * r5[c] + w6 * r6[c] + w7 * r7[c]
            )
    for j in range(length // 8 * 8, length):
        w0, r0 = weights_L[j], rows_Ld[j]
        for c in range(width):
            out_d[c] += w0 * r0[c]


@inline
def transposed(out_dL: Floats, rows_Ld: Floats, padded: int) -> None:
    """out[c, j] = rows[j, c], and 0 for j from their number to `padded`."""
    length, width = rows_Ld.shape
    for c in range(width):
        for j in range(length, padded):
            out_dL[c, j] = ZERO
    for j in range(length):
        row = rows_Ld[j]
        for c in range(width):
            out_dL[c, j] = row[c]


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
    longest: int,
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
    room = (longest + LANES - 1) // LANES * LANES
    for index in prange(heads * num_examples):
        h = index // num_examples
        b = index - h * num_examples
        first, length = key_offsets[b], key_offsets[b + 1] - key_offsets[b]
        padded = (length + LANES - 1) // LANES * LANES
        q_at, k_at, v_at, o_at = (
            q_column + h * width,
            k_column + h * width,
            v_column + h * width,
            h * width,
        )
        values = v_TW[first : first + length, v_at : v_at + width]
        keys_dL = np.empty((width, room), f32)
        transposed(keys_dL, k_TW[first : first + length, k_at : k_at + width], padded)
        s_L = np.empty(padded, f32)
        for i in range(query_offsets[b + 1] - query_offsets[b]):
            row = query_offsets[b] + i
            products(s_L, q_QW[row, q_at : q_at + width], keys_dL, scale)
            highest = s_L[0]
            for j in range(length):
                highest = max(highest, s_L[j])
            total = ZERO
            for j in range(padded):
                e = exponential(s_L[j] - highest)
                s_L[j] = e
            for j in range(length):
                total += s_L[j]
            log_sum_HQ[h, row] = highest + f32(math.log(total))
            inverse = keep_scale / total
            if threshold == u32(0):
                for j in range(padded):
                    s_L[j] *= inverse
            else:
                bits = row_bits(key, first_example + b, i)
                low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
                channel = u32(h * HEAD_STRIDE)
                for j in range(padded):
                    kept = channel_bits(low, high, u32(channel + u32(j))) >= threshold
                    s_L[j] = s_L[j] * inverse if kept else ZERO
            combination(out_QD[row, o_at : o_at + width], s_L[:length], values)


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
    longest: int,
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
    room = (longest + LANES - 1) // LANES * LANES
    for index in prange(heads * num_examples):
        h = index // num_examples
        b = index - h * num_examples
        first, length = key_offsets[b], key_offsets[b + 1] - key_offsets[b]
        start, num_queries = query_offsets[b], query_offsets[b + 1] - query_offsets[b]
        padded = (length + LANES - 1) // LANES * LANES
        q_at, k_at, v_at, o_at = (
            q_column + h * width,
            k_column + h * width,
            v_column + h * width,
            h * width,
        )
        keys = k_TW[first : first + length, k_at : k_at + width]
        queries = q_QW[start : start + num_queries, q_at : q_at + width]
        douts = dout_QD[start : start + num_queries, o_at : o_at + width]
        keys_dL, values_dL = np.empty((width, room), f32), np.empty((width, room), f32)
        transposed(keys_dL, keys, padded)
        transposed(values_dL, v_TW[first : first + length, v_at : v_at + width], padded)
        weights_LQ = np.empty((length, num_queries), f32)
        dscores_LQ = np.empty((length, num_queries), f32)
        s_L, g_L = np.empty(padded, f32), np.empty(padded, f32)
        for i in range(num_queries):
            row = start + i
            dout, out = douts[i], out_QD[row, o_at : o_at + width]
            products(s_L, queries[i], keys_dL, scale)
            products(g_L, dout, values_dL, f32(1.0))
            # sum over j of p[j] * dp[j], which is the same with and without dropout
            inner = ZERO
            for c in range(width):
                inner += dout[c] * out[c]
            log_sum = log_sum_HQ[h, row]
            bits = row_bits(key, first_example + b, i)
            low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
            channel = u32(h * HEAD_STRIDE)
            for j in range(padded):
                p = exponential(s_L[j] - log_sum)
                kept = channel_bits(low, high, u32(channel + u32(j))) >= threshold
                factor = keep_scale if kept else ZERO
                g_L[j] = p * (g_L[j] * factor - inner) * scale
                s_L[j] = p * factor
            for j in range(length):
                weights_LQ[j, i] = s_L[j]
                dscores_LQ[j, i] = g_L[j]
            combination(dq_QW[row, q_at : q_at + width], g_L[:length], keys)
        for j in range(length):
            row = first + j
            combination(dv_TW[row, v_at : v_at + width], weights_LQ[j], douts)
            combination(dk_TW[row, k_at : k_at + width], dscores_LQ[j], queries)


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
            spans.longest,
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
