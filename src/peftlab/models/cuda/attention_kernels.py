"""Triton kernels of attention within each example of a packed batch, forward and backward.

A program takes an example and a head, and goes through it by blocks of queries and keys; most rows
of text fit one block. Probabilities are not stored: the backward pass computes them again from the
logarithm of each row's sum (Dao et al. 2022, arXiv 2205.14135). There, a program takes a head of
the keys with all heads of the queries that share it, so that nothing is added by two programs.

Offsets within an example are 32 bits wide, which spares registers; where it begins takes 64.

Legend: i a block of queries, j a block of keys, c the columns of a head.
"""

from __future__ import annotations

import triton.language as tl

from peftlab.models.cuda.generator import HEAD_STRIDE, channel_bits, row_bits
from peftlab.models.cuda.jit import Pointer, Value, dot, kernel

LOG2_E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(-1e30)


@kernel
def is_seen(
    i: Value, j: Value, queries: Value, keys: Value, CAUSAL: tl.constexpr, WINDOW: tl.constexpr
) -> Value:
    """Return which keys each query sees, [i, j]; WINDOW 0 is none."""
    seen = (i < queries)[:, None] & (j < keys)[None, :]
    back = i[:, None] - j[None, :]
    if CAUSAL:
        seen = seen & (back >= 0)
    if WINDOW > 0:
        seen = seen & (back < WINDOW)
        if not CAUSAL:
            seen = seen & (back > -WINDOW)
    return seen


@kernel
def first_key(i: Value, BLOCK: tl.constexpr, WINDOW: tl.constexpr) -> Value:
    """Return the first block of keys that a block of queries from i on sees."""
    if WINDOW > 0:
        return tl.maximum(i - WINDOW + 1, 0) // BLOCK * BLOCK
    return 0


@kernel
def end_of_keys(
    i: Value, keys: Value, BLOCK: tl.constexpr, CAUSAL: tl.constexpr, WINDOW: tl.constexpr
) -> Value:
    """Return the end of the keys that a block of queries from i on sees."""
    if CAUSAL:
        return tl.minimum(keys, i + BLOCK)
    if WINDOW > 0:
        return tl.minimum(keys, i + BLOCK + WINDOW - 1)
    return keys


@kernel
def tile(
    x: Value, i: Value, end: Value, row: Value, WIDTH: tl.constexpr, COLUMNS: tl.constexpr
) -> Value:
    """Return the rows i of a head, [i, c]; 0 from `end` on."""
    c = tl.arange(0, COLUMNS)
    is_real = (i < end)[:, None] & (c < WIDTH)[None, :]
    return tl.load(x + i[:, None] * row + c[None, :], mask=is_real, other=0.0)


@kernel
def forward_kernel(
    q: Pointer,
    k: Pointer,
    v: Pointer,
    out: Pointer,
    log_sum: Pointer,
    query_offsets: Pointer,
    key_offsets: Pointer,
    examples: Pointer,
    key: Pointer,
    models: Pointer,
    q_row: int,
    k_row: int,
    v_row: int,
    SCORE_SCALE: tl.constexpr,
    HEADS: tl.constexpr,
    SHARED: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    CAUSAL: tl.constexpr,
    WINDOW: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Fill the context [Q, HEADS * WIDTH], and log2 of each row's sum of exponentials [Q, HEADS].

    SHARED heads of the queries read one head of keys and values. COLUMNS is WIDTH rounded up. With
    SEVERAL models, `models` says whose each example is, and `key` has a key for each model.
    """
    b, h = tl.program_id(0), tl.program_id(1)
    if SEVERAL:
        key += tl.load(models + b)
    first_query, first_token = tl.load(query_offsets + b), tl.load(key_offsets + b)
    queries = (tl.load(query_offsets + b + 1) - first_query).to(tl.int32)
    keys = (tl.load(key_offsets + b + 1) - first_token).to(tl.int32)
    q += first_query * q_row + h * WIDTH
    out += first_query * (HEADS * WIDTH) + h * WIDTH
    log_sum += first_query * HEADS + h
    k += first_token * k_row + h // SHARED * WIDTH
    v += first_token * v_row + h // SHARED * WIDTH
    c = tl.arange(0, COLUMNS)
    is_column = (c < WIDTH)[None, :]
    for start in range(0, queries, BLOCK):
        i = start + tl.arange(0, BLOCK)
        is_query = (i < queries)[:, None] & is_column
        q_ic = tile(q, i, queries, q_row, WIDTH, COLUMNS)
        if THRESHOLD > 0:
            low, high = row_bits(tl.load(key), tl.load(examples + b), i)
        highest = tl.full([BLOCK], LOWEST, tl.float32)
        total = tl.zeros([BLOCK], tl.float32)
        context = tl.zeros([BLOCK, COLUMNS], tl.float32)
        end = end_of_keys(start, keys, BLOCK, CAUSAL, WINDOW)
        for first in range(first_key(start, BLOCK, WINDOW), end, BLOCK):
            j = first + tl.arange(0, BLOCK)
            k_jc = tile(k, j, keys, k_row, WIDTH, COLUMNS)
            v_jc = tile(v, j, keys, v_row, WIDTH, COLUMNS)
            seen = is_seen(i, j, queries, keys, CAUSAL, WINDOW)
            x = dot(q_ic, tl.trans(k_jc), PRECISION) * (SCORE_SCALE * LOG2_E)
            x = tl.where(seen, x, LOWEST)
            new_highest = tl.maximum(highest, tl.max(x, 1))
            # Where a row has seen nothing yet, all of its x are LOWEST, and exp2(0) would be 1.
            p = tl.where(seen, tl.exp2(x - new_highest[:, None]), 0.0)
            shrunk = tl.exp2(highest - new_highest)
            total = total * shrunk + tl.sum(p, 1)
            if THRESHOLD > 0:
                bits = channel_bits(low[:, None], high[:, None], (j + h * HEAD_STRIDE)[None, :])
                p = tl.where(bits >= THRESHOLD, p, 0.0)
            context = context * shrunk[:, None] + dot(p.to(v_jc.dtype), v_jc, PRECISION)
            highest = new_highest
        total = tl.where(i < queries, total, 1.0)
        at = i[:, None] * (HEADS * WIDTH) + c[None, :]
        tl.store(out + at, context * (SCALE / total)[:, None], mask=is_query)
        tl.store(log_sum + i * HEADS, highest + tl.log2(total), mask=i < queries)


@kernel
def differentiate(
    q: Pointer,
    out: Pointer,
    dout: Pointer,
    log_sum: Pointer,
    key: Value,
    example: Value,
    queries: Value,
    keys: Value,
    i: Value,
    j: Value,
    h: Value,
    k_jc: Value,
    v_jc: Value,
    q_row: Value,
    SCORE_SCALE: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    CAUSAL: tl.constexpr,
    WINDOW: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> Value:
    """Return, of a block of queries and keys, q, dout, dropped probabilities and dscores."""
    q_ic = tile(q + h * WIDTH, i, queries, q_row, WIDTH, COLUMNS)
    dout_ic = tile(dout + h * WIDTH, i, queries, HEADS * WIDTH, WIDTH, COLUMNS)
    out_ic = tile(out + h * WIDTH, i, queries, HEADS * WIDTH, WIDTH, COLUMNS)
    # The sum over j of p[j] * dp[j], which is the same with and without dropout.
    inner = tl.sum(dout_ic.to(tl.float32) * out_ic.to(tl.float32), 1)
    sums = tl.load(log_sum + i * HEADS + h, mask=i < queries, other=0.0)
    x = dot(q_ic, tl.trans(k_jc), PRECISION) * (SCORE_SCALE * LOG2_E) - sums[:, None]
    p = tl.where(is_seen(i, j, queries, keys, CAUSAL, WINDOW), tl.exp2(tl.minimum(x, 1.0)), 0.0)
    dp = dot(dout_ic, tl.trans(v_jc), PRECISION)
    kept = p
    if THRESHOLD > 0:
        low, high = row_bits(key, example, i)
        bits = channel_bits(low[:, None], high[:, None], (j + h * HEAD_STRIDE)[None, :])
        kept = tl.where(bits >= THRESHOLD, p * SCALE, 0.0)
        dp = tl.where(bits >= THRESHOLD, dp * SCALE, 0.0)
    return q_ic, dout_ic, kept, p * (dp - inner[:, None]) * SCORE_SCALE


@kernel
def backward_kernel(
    q: Pointer,
    k: Pointer,
    v: Pointer,
    out: Pointer,
    log_sum: Pointer,
    query_offsets: Pointer,
    key_offsets: Pointer,
    examples: Pointer,
    key: Pointer,
    models: Pointer,
    q_row: int,
    k_row: int,
    v_row: int,
    dout: Pointer,
    dq: Pointer,
    dk: Pointer,
    dv: Pointer,
    SCORE_SCALE: tl.constexpr,
    HEADS: tl.constexpr,
    SHARED: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    CAUSAL: tl.constexpr,
    WINDOW: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Fill the gradients of queries, keys and values, in rows as far apart as theirs."""
    b, g = tl.program_id(0), tl.program_id(1)
    if SEVERAL:
        key += tl.load(models + b)
    first_query, first_token = tl.load(query_offsets + b), tl.load(key_offsets + b)
    queries = (tl.load(query_offsets + b + 1) - first_query).to(tl.int32)
    keys = (tl.load(key_offsets + b + 1) - first_token).to(tl.int32)
    drawn, example = tl.load(key), tl.load(examples + b)
    q += first_query * q_row
    dq += first_query * q_row
    out += first_query * (HEADS * WIDTH)
    dout += first_query * (HEADS * WIDTH)
    log_sum += first_query * HEADS
    k += first_token * k_row + g * WIDTH
    dk += first_token * k_row + g * WIDTH
    v += first_token * v_row + g * WIDTH
    dv += first_token * v_row + g * WIDTH
    c = tl.arange(0, COLUMNS)
    is_column = (c < WIDTH)[None, :]
    for first in range(0, keys, BLOCK):
        j = first + tl.arange(0, BLOCK)
        is_key = (j < keys)[:, None] & is_column
        k_jc = tile(k, j, keys, k_row, WIDTH, COLUMNS)
        v_jc = tile(v, j, keys, v_row, WIDTH, COLUMNS)
        dk_jc = tl.zeros([BLOCK, COLUMNS], tl.float32)
        dv_jc = tl.zeros([BLOCK, COLUMNS], tl.float32)
        for h in range(g * SHARED, (g + 1) * SHARED):
            for start in range(0, queries, BLOCK):
                i = start + tl.arange(0, BLOCK)
                q_ic, dout_ic, kept, dx = differentiate(
                    q, out, dout, log_sum, drawn, example, queries, keys, i, j, h,
                    k_jc, v_jc, q_row, SCORE_SCALE, HEADS, WIDTH, COLUMNS, CAUSAL, WINDOW,
                    THRESHOLD, SCALE, PRECISION,
                )  # fmt: skip
                dx = dx.to(k_jc.dtype)
                dv_jc += dot(tl.trans(kept.to(k_jc.dtype)), dout_ic, PRECISION)
                dk_jc += dot(tl.trans(dx), q_ic, PRECISION)
                if keys <= BLOCK:
                    is_query = (i < queries)[:, None] & is_column
                    dq_ic = dot(dx, k_jc, PRECISION)
                    dq_at = dq + i[:, None] * q_row + (c + h * WIDTH)[None, :]
                    tl.store(dq_at, dq_ic, mask=is_query)
        tl.store(dk + j[:, None] * k_row + c[None, :], dk_jc, mask=is_key)
        tl.store(dv + j[:, None] * v_row + c[None, :], dv_jc, mask=is_key)
    if keys > BLOCK:
        for h in range(g * SHARED, (g + 1) * SHARED):
            for start in range(0, queries, BLOCK):
                i = start + tl.arange(0, BLOCK)
                dq_ic = tl.zeros([BLOCK, COLUMNS], tl.float32)
                end = end_of_keys(start, keys, BLOCK, CAUSAL, WINDOW)
                for first in range(first_key(start, BLOCK, WINDOW), end, BLOCK):
                    j = first + tl.arange(0, BLOCK)
                    k_jc = tile(k, j, keys, k_row, WIDTH, COLUMNS)
                    v_jc = tile(v, j, keys, v_row, WIDTH, COLUMNS)
                    q_ic, dout_ic, kept, dx = differentiate(
                        q, out, dout, log_sum, drawn, example, queries, keys, i, j,
                        h, k_jc, v_jc, q_row, SCORE_SCALE, HEADS, WIDTH, COLUMNS, CAUSAL, WINDOW,
                        THRESHOLD, SCALE, PRECISION,
                    )  # fmt: skip
                    dq_ic += dot(dx.to(k_jc.dtype), k_jc, PRECISION)
                is_query = (i < queries)[:, None] & is_column
                dq_at = dq + i[:, None] * q_row + (c + h * WIDTH)[None, :]
                tl.store(dq_at, dq_ic, mask=is_query)
