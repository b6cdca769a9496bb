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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peftlab.models.attention import Drawn, Padding, Scores, attend
from peftlab.models.fused.generator import (
    HEAD_STRIDE,
    LOW_32,
    channel_bits,
    row_bits,
    signed,
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
    vector,
)
from peftlab.models.fused.math32 import ZERO, exponential
from peftlab.models.fused.matmul import LINE, SCRATCH, SIZE, aligned, multiply
from peftlab.models.fused.tape import Gradients, Node, Operation
from peftlab.models.fused.tiles import LANES, WIDTH, address_of

f32 = np.float32


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
    _paddings: dict[tuple[int, torch.device], Padding] = field(default_factory=dict, init=False)

    def query_padding(self, device: torch.device) -> Padding:
        """Where the queries lie in a padded batch; found once for all layers."""
        return self._padding(self.query_offsets, device)

    def key_padding(self, device: torch.device) -> Padding:
        """Where the keys lie in a padded batch; found once for all layers."""
        return self._padding(self.key_offsets, device)

    def _padding(self, offsets: Tensor, device: torch.device) -> Padding:
        found = self._paddings.get((id(offsets), device))
        if found is None:
            found = self._paddings[id(offsets), device] = Padding.of(offsets, device)
        return found


@part
def _soften(
    s_QL: Floats,
    length: int,
    padded: int,
    scale: np.float32,
    key: np.uint64,
    example: int,
    head: int,
    threshold: np.uint32,
    keep_scale: np.float32,
    log_sum_Q: Floats,
) -> None:
    """Scores to dropped probabilities, in place, and the logarithm of each row's sum.

    From `length` to `padded` a row is computed too, in whole vectors, and means nothing.
    """
    for i in range(len(s_QL)):
        highest = s_QL[i, 0] * scale
        for j in range(length):
            highest = max(highest, s_QL[i, j] * scale)
        for j in range(padded):
            s_QL[i, j] = exponential(s_QL[i, j] * scale - highest)
        total = ZERO
        for j in range(length):
            total += s_QL[i, j]
        log_sum_Q[i] = highest + f32(math.log(total))
        factor = keep_scale / total
        if threshold == u32(0):
            for j in range(padded):
                s_QL[i, j] *= factor
        else:
            bits = row_bits(key, example, i)
            low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
            channel = u32(head * HEAD_STRIDE)
            for j in range(padded):
                kept = channel_bits(low, high, u32(channel + u32(j))) >= threshold
                s_QL[i, j] = s_QL[i, j] * factor if kept else ZERO


@part
def _differentiate(
    s_QL: Floats,
    g_QL: Floats,
    padded: int,
    scale: np.float32,
    key: np.uint64,
    example: int,
    head: int,
    threshold: np.uint32,
    keep_scale: np.float32,
    log_sum_Q: Floats,
    inner_Q: Floats,
) -> None:
    """From scores and gradients of the dropped probabilities: those probabilities, in s, and the
    gradients of the unscaled scores, in g."""
    for i in range(len(s_QL)):
        log_sum, inner = log_sum_Q[i], inner_Q[i]
        bits = row_bits(key, example, i)
        low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
        channel = u32(head * HEAD_STRIDE)
        for j in range(padded):
            p = exponential(s_QL[i, j] * scale - log_sum)
            kept = channel_bits(low, high, u32(channel + u32(j))) >= threshold
            factor = keep_scale if kept else ZERO
            g_QL[i, j] = p * (g_QL[i, j] * factor - inner) * scale
            s_QL[i, j] = p * factor


@part
def _inner_products(x_QD: Floats, y_QD: Floats, width: int, out_Q: Floats) -> None:
    """Of the first `width` columns, row by row."""
    for i in range(len(out_Q)):
        total = ZERO
        for c in range(width):
            total += x_QD[i, c] * y_QD[i, c]
        out_Q[i] = total


@inline
def _shares(heads: int, threads: int) -> tuple[int, int]:
    """Into how many groups the heads are cut, and into how many shares the work of each.

    A thread has some heads of all examples and takes an example after another, so that its rows
    stay in the caches and no thread has all the long ones.
    """
    groups = min(heads, threads)
    return groups, (threads + groups - 1) // groups


@kernel
def forward_kernel(
    q: int,
    q_row: int,
    k: int,
    k_row: int,
    v: int,
    v_row: int,
    query_offsets: Integers,
    key_offsets: Integers,
    first_example: int,
    heads: int,
    width: int,
    scale: np.float32,
    key: np.uint64,
    threshold: np.uint32,
    keep_scale: np.float32,
    out: int,
    out_row: int,
    log_sum_HQ: Floats,
    threads: int,
) -> None:
    """Fill the context of each query and the logarithm of its row's sum of exponentials.

    Matrices of tokens are given by address and distance of rows.
    """
    num_examples = len(key_offsets) - 1
    longest, most = np.max(np.diff(key_offsets)), np.max(np.diff(query_offsets))
    groups, shares = _shares(heads, threads)
    for index in prange(groups * shares):
        group, share = index // shares, index % shares
        first_head = heads * group // groups
        num_heads = heads * (group + 1) // groups - first_head
        tasks = num_heads * num_examples
        memory = np.empty(SCRATCH + LINE + most * (longest + WIDTH), f32)
        scratch = aligned(address_of(memory))
        scores = scratch + SIZE * SCRATCH
        for task in range(tasks * share // shares, tasks * (share + 1) // shares):
            b, h = task // num_heads, first_head + task % num_heads
            at = SIZE * h * width
            first, length = key_offsets[b], key_offsets[b + 1] - key_offsets[b]
            start, rows = query_offsets[b], query_offsets[b + 1] - query_offsets[b]
            padded = (length + LANES - 1) // LANES * LANES
            spaced = (length + WIDTH - 1) // WIDTH * WIDTH
            queries, context = q + at + SIZE * start * q_row, out + at + SIZE * start * out_row
            keys, values = k + at + SIZE * first * k_row, v + at + SIZE * first * v_row
            multiply(
                queries, q_row, 1, keys, k_row, True, scores, spaced, True, rows, length, width,
                scratch,
            )  # fmt: skip
            _soften(
                matrix(scores, rows, spaced),
                length,
                padded,
                scale,
                key,
                first_example + b,
                h,
                threshold,
                keep_scale,
                log_sum_HQ[h, start : start + rows],
            )
            multiply(
                scores, spaced, 1, values, v_row, False, context, out_row, False, rows, width,
                length, scratch,
            )  # fmt: skip
        memory[0] = ZERO  # used last: until here its address is good


@kernel
def backward_kernel(
    dout: int,
    out: int,
    out_row: int,
    q: int,
    q_row: int,
    k: int,
    k_row: int,
    v: int,
    v_row: int,
    query_offsets: Integers,
    key_offsets: Integers,
    first_example: int,
    heads: int,
    width: int,
    scale: np.float32,
    key: np.uint64,
    threshold: np.uint32,
    keep_scale: np.float32,
    log_sum_HQ: Floats,
    dq: int,
    dk: int,
    dv: int,
    threads: int,
) -> None:
    """Fill the gradients of queries, keys and values, in rows as far apart as theirs."""
    num_examples = len(key_offsets) - 1
    longest, most = np.max(np.diff(key_offsets)), np.max(np.diff(query_offsets))
    groups, shares = _shares(heads, threads)
    for index in prange(groups * shares):
        group, share = index // shares, index % shares
        first_head = heads * group // groups
        num_heads = heads * (group + 1) // groups - first_head
        tasks = num_heads * num_examples
        memory = np.empty(SCRATCH + LINE + most * (2 * longest + 2 * WIDTH + 1), f32)
        scratch = aligned(address_of(memory))
        scores = scratch + SIZE * SCRATCH
        for task in range(tasks * share // shares, tasks * (share + 1) // shares):
            b, h = task // num_heads, first_head + task % num_heads
            at = SIZE * h * width
            first, length = key_offsets[b], key_offsets[b + 1] - key_offsets[b]
            start, rows = query_offsets[b], query_offsets[b + 1] - query_offsets[b]
            padded = (length + LANES - 1) // LANES * LANES
            spaced = (length + WIDTH - 1) // WIDTH * WIDTH
            grads = scores + SIZE * rows * spaced
            inner = grads + SIZE * rows * spaced
            q_at, out_at = at + SIZE * start * q_row, at + SIZE * start * out_row
            k_at, v_at = at + SIZE * first * k_row, at + SIZE * first * v_row
            multiply(
                q + q_at, q_row, 1, k + k_at, k_row, True, scores, spaced, True, rows, length,
                width, scratch,
            )  # fmt: skip
            multiply(
                dout + out_at, out_row, 1, v + v_at, v_row, True, grads, spaced, True, rows,
                length, width, scratch,
            )  # fmt: skip
            # sum over j of p[j] * dp[j], which is the same with and without dropout
            _inner_products(
                matrix(dout + out_at, rows, out_row),
                matrix(out + out_at, rows, out_row),
                width,
                vector(inner, rows),
            )
            _differentiate(
                matrix(scores, rows, spaced),
                matrix(grads, rows, spaced),
                padded,
                scale,
                key,
                first_example + b,
                h,
                threshold,
                keep_scale,
                log_sum_HQ[h, start : start + rows],
                vector(inner, rows),
            )
            multiply(
                grads, spaced, 1, k + k_at, k_row, False, dq + q_at, q_row, False, rows, width,
                length, scratch,
            )  # fmt: skip
            multiply(
                grads, 1, spaced, q + q_at, q_row, False, dk + k_at, k_row, False, length, width,
                rows, scratch,
            )  # fmt: skip
            multiply(
                scores, 1, spaced, dout + out_at, out_row, False, dv + v_at, v_row, False, length,
                width, rows, scratch,
            )  # fmt: skip
        memory[0] = ZERO  # used last: until here its address is good


@Entry
def _forward_entry(n: Integers, f: Reals) -> None:
    q, k, v, query_offsets, key_offsets, out, log_sum = n[0], n[1], n[2], n[3], n[4], n[5], n[6]
    queries, q_row, k_row, v_row, size, examples = n[7], n[8], n[9], n[10], n[11], n[12]
    first_example, heads, key, threads = n[13], n[14], n[15], n[16]
    forward_kernel(
        q, q_row, k, k_row, v, v_row,
        integers(query_offsets, examples + 1), integers(key_offsets, examples + 1), first_example,
        heads, size // heads, f32(f[0]), u64(key), u32(f[2]), f32(f[1]),
        out, size, matrix(log_sum, heads, queries), threads,
    )  # fmt: skip


@Entry
def _backward_entry(n: Integers, f: Reals) -> None:
    q, k, v, query_offsets, key_offsets, dout, out, log_sum = (
        n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7],
    )  # fmt: skip
    dq, dk, dv, queries, q_row, k_row, v_row, size = (
        n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15],
    )  # fmt: skip
    examples, first_example, heads, key, threads = n[16], n[17], n[18], n[19], n[20]
    backward_kernel(
        dout, out, size, q, q_row, k, k_row, v, v_row,
        integers(query_offsets, examples + 1), integers(key_offsets, examples + 1), first_example,
        heads, size // heads, f32(f[0]), u64(key), u32(f[2]), f32(f[1]),
        matrix(log_sum, heads, queries), dq, dk, dv, threads,
    )  # fmt: skip


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
        num_queries = query.shape[0]
        out_QD = query.new_empty(num_queries, size)
        log_sum_HQ = query.new_empty(heads.count, num_queries)
        numbers = (
            num_queries,
            query.stride(0),
            key.stride(0),
            value.stride(0),
            size,
            spans.key_offsets.shape[0] - 1,
            spans.first_example,
            heads.count,
            signed(settings.key),
            torch.get_num_threads(),
        )
        probability = settings.probability
        floats = (heads.scale, 1 / (1 - probability), threshold_of(probability))
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
        """By torch, all examples at once, each padded to the longest."""
        num_heads, spans = settings.heads.count, settings.spans
        q, k, v = (x.unflatten(1, (num_heads, -1)) for x in _split(inputs, _width(inputs)))
        queries, keys = spans.query_padding(q.device), spans.key_padding(q.device)
        drawn = None
        if settings.probability > 0:
            drawn = Drawn(
                key=settings.key,
                probability=settings.probability,
                first_example=spans.first_example,
            )
        scores = Scores(scale=settings.heads.scale, is_causal=False, window=None, softcap=None)
        context_BHQd = attend(
            queries.pad(q), keys.pad(k), keys.pad(v), keys.is_real_B11L, scores, drawn
        )
        return queries.unpad(context_BHQd).flatten(1)


def _width(projections: Sequence[Tensor]) -> int:
    """D, the columns of all queries."""
    return projections[-1].shape[1] // (4 - len(projections))


def _split(projections: Sequence[Tensor], width: int) -> list[Tensor]:
    """Queries, keys and values, each [., D]; views."""
    parts = [part for joined in projections for part in joined.split(width, dim=1)]
    assert len(parts) == 3
    return parts
