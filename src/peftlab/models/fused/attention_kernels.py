"""The kernels of attention within each example, forward and backward, and their entry points.

The probabilities are not stored: the backward pass computes them again from the queries, the keys
and the logarithm of each row's sum (Dao et al. 2022, arXiv 2205.14135, without its tiling). Heads
are spread over the threads.

Legend: Q queries, H heads, D columns of all heads, L tokens of one example.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from peftlab.models.fused.generator import HEAD_STRIDE, LOW_32, channel_bits, row_bits, u32, u64
from peftlab.models.fused.jit import inline, kernel, part, prange
from peftlab.models.fused.launch import EntryPoint, Floats, Integers, integers, matrix, vector
from peftlab.models.fused.math32 import ZERO, exponential
from peftlab.models.fused.matmul import LINE, SCRATCH, SIZE, aligned, multiply
from peftlab.models.fused.tiles import LANES, WIDTH, address_of

f32 = np.float32


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
    """Turn scores into dropped probabilities, in place, and fill the logarithm of each row's sum.

    The columns from `length` to `padded` are computed too, in whole vectors, but are meaningless.
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
    """Turn the scores in s into dropped probabilities, and the gradients of these in g into the
    gradients of the unscaled scores."""
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
    """Fill out with the inner products of the rows of x and y over the first `width` columns."""
    for i in range(len(out_Q)):
        total = ZERO
        for c in range(width):
            total += x_QD[i, c] * y_QD[i, c]
        out_Q[i] = total


@inline
def _shares(heads: int, threads: int) -> tuple[int, int]:
    """Return the number of groups of heads, and the number of shares in each group's work.

    A thread computes some heads of all examples, one example after another, so that its rows stay
    in the caches and no thread gets all the long examples.
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

    Matrices of tokens are given by their address and the distance between rows.
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
    """Fill the gradients of queries, keys and values, whose rows are as far apart as theirs."""
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
            # the sum over j of p[j] * dp[j], which is the same with and without dropout
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


class Forward(NamedTuple):
    """The arguments of the forward pass; rows of queries, keys and values are strided."""

    q: Tensor
    k: Tensor
    v: Tensor
    query_offsets: Tensor
    key_offsets: Tensor
    out: Tensor
    log_sum: Tensor
    queries: int
    q_row: int
    k_row: int
    v_row: int
    size: int
    examples: int
    first_example: int
    heads: int
    key: int
    threads: int
    scale: float
    keep_scale: float
    threshold: float  # a whole number, as in dropout.py


class Backward(NamedTuple):
    """The arguments of the backward pass."""

    q: Tensor
    k: Tensor
    v: Tensor
    query_offsets: Tensor
    key_offsets: Tensor
    out: Tensor
    log_sum: Tensor
    dout: Tensor
    dq: Tensor
    dk: Tensor
    dv: Tensor
    queries: int
    q_row: int
    k_row: int
    v_row: int
    size: int
    examples: int
    first_example: int
    heads: int
    key: int
    threads: int
    scale: float
    keep_scale: float
    threshold: float


@EntryPoint
def forward(n: Forward) -> None:
    """Compute the context of each query."""
    forward_kernel(
        n.q, n.q_row, n.k, n.k_row, n.v, n.v_row,
        integers(n.query_offsets, n.examples + 1), integers(n.key_offsets, n.examples + 1),
        n.first_example, n.heads, n.size // n.heads, f32(n.scale), u64(n.key), u32(n.threshold),
        f32(n.keep_scale), n.out, n.size, matrix(n.log_sum, n.heads, n.queries), n.threads,
    )  # fmt: skip


@EntryPoint
def backward(n: Backward) -> None:
    """Compute the gradients of queries, keys and values."""
    backward_kernel(
        n.dout, n.out, n.size, n.q, n.q_row, n.k, n.k_row, n.v, n.v_row,
        integers(n.query_offsets, n.examples + 1), integers(n.key_offsets, n.examples + 1),
        n.first_example, n.heads, n.size // n.heads, f32(n.scale), u64(n.key), u32(n.threshold),
        f32(n.keep_scale), matrix(n.log_sum, n.heads, n.queries), n.dq, n.dk, n.dv, n.threads,
    )  # fmt: skip
