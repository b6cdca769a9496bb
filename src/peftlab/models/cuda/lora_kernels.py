"""Triton kernels of LoRA on flat tokens: several adapters that read the same rows, at once.

The adapters lie anywhere in memory: a table says for each where its A [r, D] and B [O, r] begin,
counted in elements from the first one's A, and how large they are. What is multiplied is rounded to
the type of x; sums are float32.

Rows may be of several models, one model's behind the other's; then each model has SLOTS adapters,
some of which may have no ranks, and `bounds` says where each one's rows begin and the last's end.

Legend: t tokens, d columns of x, o columns of y, r ranks. A program takes a tile of BLOCK tokens.
"""

from __future__ import annotations

import triton.language as tl

from peftlab.models.cuda.generator import dropped, row_bits
from peftlab.models.cuda.jit import Pointer, Value, dot, kernel

NUM_FIELDS = 8
FIELDS = tl.constexpr(NUM_FIELDS)
"""How many integers the table has for an adapter, in the order of the following."""
A, B, RANK, FIRST, SIZE, DA, DB, THRESHOLD = (tl.constexpr(index) for index in range(NUM_FIELDS))
SCALING, KEEP_SCALE = tl.constexpr(0), tl.constexpr(1)
"""The two floats of an adapter: alpha / r, and what kept elements of x are multiplied with."""


@kernel
def field(table: Value, s: Value, NAME: tl.constexpr) -> Value:
    """Return an integer of adapter s."""
    return tl.load(table + s * FIELDS + NAME)


@kernel
def rows_of(bounds: Value, model: Value, num_tokens: Value, SEVERAL: tl.constexpr) -> Value:
    """Return where the rows of a model begin and end: with one model, those are all."""
    begin, end = 0, num_tokens
    if SEVERAL:
        begin = tl.load(bounds + model).to(tl.int32)
        end = tl.load(bounds + model + 1).to(tl.int32)
    return begin, end


@kernel
def low_at(slot: Value, t: Value, r: Value, num_tokens: Value, RANKS: tl.constexpr) -> Value:
    """Return the places of a tile of the low rows of the adapter in that slot, [t, r]."""
    return (slot * num_tokens + t).to(tl.int64)[:, None] * RANKS + r[None, :]


@kernel
def drop(
    x_td: Value,
    table: Value,
    scales: Value,
    keys: Value,
    examples: Value,
    positions: Value,
    s: Value,
    t: Value,
    d: Value,
    end: Value,
) -> Value:
    """Return a tile in float32 after the dropout of adapter s."""
    example_t = tl.load(examples + t, mask=t < end, other=0)
    position_t = tl.load(positions + t, mask=t < end, other=0)
    low, high = row_bits(tl.load(keys + s), example_t, position_t)
    threshold = field(table, s, THRESHOLD).to(tl.uint32)
    x_td = x_td.to(tl.float32) * tl.load(scales + 2 * s + KEEP_SCALE)
    return dropped(x_td, low[:, None], high[:, None], d[None, :], threshold)


@kernel
def shrink_kernel(
    x: Pointer,
    parameters: Pointer,
    table: Pointer,
    scales: Pointer,
    keys: Pointer,
    examples: Pointer,
    positions: Pointer,
    low: Pointer,
    bounds: Pointer,
    num_tokens: int,
    DEPTH: tl.constexpr,
    RANKS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    DROPS: tl.constexpr,
    SLOTS: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """low[s] = dropout(x) @ A.T of adapter s; ranks that it does not have become 0."""
    s = tl.program_id(1)
    begin, end = rows_of(bounds, s // SLOTS, num_tokens, SEVERAL)
    t, r = begin + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, RANKS)
    a, rank = parameters + field(table, s, A), field(table, s, RANK)
    low_tr = tl.zeros([BLOCK, RANKS], tl.float32)
    for first in range(0, DEPTH, COLUMNS):
        d = first + tl.arange(0, COLUMNS)
        is_real = (t < end)[:, None] & (d < DEPTH)[None, :]
        at = t.to(tl.int64)[:, None] * DEPTH + d[None, :]
        x_td = tl.load(x + at, mask=is_real, other=0.0)
        is_weight = (d < DEPTH)[:, None] & (r < rank)[None, :]
        a_dr = tl.load(a + r[None, :] * DEPTH + d[:, None], mask=is_weight, other=0.0)
        a_dr = a_dr.to(x_td.dtype)
        if DROPS:
            kept = drop(
                x_td, table, scales, keys, examples, positions, s, t, d, end
            )  # fmt: skip
            x_td = kept.to(x_td.dtype)
        low_tr += dot(x_td, a_dr, PRECISION)
    at = low_at(s % SLOTS, t, r, num_tokens, RANKS)
    tl.store(low + at, low_tr, mask=(t < end)[:, None])


@kernel
def expand_kernel(
    y: Pointer,
    parameters: Pointer,
    table: Pointer,
    scales: Pointer,
    low: Pointer,
    bounds: Pointer,
    num_tokens: int,
    Y_ROW: tl.constexpr,
    RANKS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOTS: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Columns of y += scaling * low[s] @ B.T of adapter s."""
    s = tl.program_id(1)
    begin, end = rows_of(bounds, s // SLOTS, num_tokens, SEVERAL)
    t, r = begin + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, RANKS)
    o = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    rank, size = field(table, s, RANK), field(table, s, SIZE)
    at = low_at(s % SLOTS, t, r, num_tokens, RANKS)
    low_tr = tl.load(low + at, mask=(t < end)[:, None], other=0.0)
    b = parameters + field(table, s, B)
    is_weight = (r < rank)[:, None] & (o < size)[None, :]
    b_ro = tl.load(b + o[None, :] * rank + r[:, None], mask=is_weight, other=0.0)
    is_real = (t < end)[:, None] & (o < size)[None, :]
    column = field(table, s, FIRST) + o
    y_at = y + t.to(tl.int64)[:, None] * Y_ROW + column[None, :]
    y_to = tl.load(y_at, mask=is_real, other=0.0).to(tl.float32)
    update_to = dot(low_tr, b_ro.to(low_tr.dtype), PRECISION)
    tl.store(y_at, y_to + tl.load(scales + 2 * s + SCALING) * update_to, mask=is_real)


@kernel
def shrink_gradient_kernel(
    dy: Pointer,
    parameters: Pointer,
    table: Pointer,
    scales: Pointer,
    dlow: Pointer,
    bounds: Pointer,
    num_tokens: int,
    MOST: tl.constexpr,
    Y_ROW: tl.constexpr,
    RANKS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOTS: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """dlow[s] = scaling * columns of dy @ B of adapter s; no layer has more than MOST columns."""
    s = tl.program_id(1)
    begin, end = rows_of(bounds, s // SLOTS, num_tokens, SEVERAL)
    t, r = begin + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, RANKS)
    rank, size = field(table, s, RANK), field(table, s, SIZE)
    first_column = field(table, s, FIRST)
    b = parameters + field(table, s, B)
    dlow_tr = tl.zeros([BLOCK, RANKS], tl.float32)
    for first in range(0, MOST, COLUMNS):
        o = first + tl.arange(0, COLUMNS)
        is_real = (t < end)[:, None] & (o < size)[None, :]
        at = t.to(tl.int64)[:, None] * Y_ROW + (first_column + o)[None, :]
        dy_to = tl.load(dy + at, mask=is_real, other=0.0)
        is_weight = (o < size)[:, None] & (r < rank)[None, :]
        b_or = tl.load(b + o[:, None] * rank + r[None, :], mask=is_weight, other=0.0)
        dlow_tr += dot(dy_to, b_or.to(dy_to.dtype), PRECISION)
    dlow_tr *= tl.load(scales + 2 * s + SCALING)
    at = low_at(s % SLOTS, t, r, num_tokens, RANKS)
    tl.store(dlow + at, dlow_tr, mask=(t < end)[:, None])


@kernel
def input_gradient_kernel(
    dx: Pointer,
    parameters: Pointer,
    table: Pointer,
    scales: Pointer,
    keys: Pointer,
    examples: Pointer,
    positions: Pointer,
    dlow: Pointer,
    bounds: Pointer,
    num_tokens: int,
    DEPTH: tl.constexpr,
    RANKS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    DROPS: tl.constexpr,
    SLOTS: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """dx += dropout(dlow[s] @ A), summed over all adapters of a model."""
    model = tl.program_id(2)
    begin, end = rows_of(bounds, model, num_tokens, SEVERAL)
    t, r = begin + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, RANKS)
    d = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_real = (t < end)[:, None] & (d < DEPTH)[None, :]
    dx_at = dx + t.to(tl.int64)[:, None] * DEPTH + d[None, :]
    total = tl.load(dx_at, mask=is_real, other=0.0).to(tl.float32)
    for slot in tl.static_range(SLOTS):
        s = model * SLOTS + slot
        at = low_at(slot, t, r, num_tokens, RANKS)
        dlow_tr = tl.load(dlow + at, mask=(t < end)[:, None], other=0.0)
        a, rank = parameters + field(table, s, A), field(table, s, RANK)
        is_weight = (r < rank)[:, None] & (d < DEPTH)[None, :]
        a_rd = tl.load(a + r[:, None] * DEPTH + d[None, :], mask=is_weight, other=0.0)
        dx_td = dot(dlow_tr, a_rd.to(dlow_tr.dtype), PRECISION)
        if DROPS:
            dx_td = drop(
                dx_td, table, scales, keys, examples, positions, s, t, d, end
            )  # fmt: skip
        total += dx_td
    tl.store(dx_at, total, mask=is_real)


@kernel
def weights_kernel(
    x: Pointer,
    dy: Pointer,
    low: Pointer,
    dlow: Pointer,
    gradients: Pointer,
    table: Pointer,
    scales: Pointer,
    keys: Pointer,
    examples: Pointer,
    positions: Pointer,
    bounds: Pointer,
    num_tokens: int,
    DEPTH: tl.constexpr,
    Y_ROW: tl.constexpr,
    RANKS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    DROPS: tl.constexpr,
    SLOTS: tl.constexpr,
    SEVERAL: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """dA = dlow.T @ dropout(x) and dB = scaling * dy.T @ low of adapter s, COLUMNS of each.

    A program goes through all tokens of the model, so that each sum has one order.
    """
    s = tl.program_id(0)
    c, r = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS), tl.arange(0, RANKS)
    rank, size = field(table, s, RANK), field(table, s, SIZE)
    first_column = field(table, s, FIRST)
    da_rc = tl.zeros([RANKS, COLUMNS], tl.float32)
    db_rc = tl.zeros([RANKS, COLUMNS], tl.float32)
    begin, end = rows_of(bounds, s // SLOTS, num_tokens, SEVERAL)
    for first in range(begin, end, BLOCK):
        t = first + tl.arange(0, BLOCK)
        is_token = (t < end)[:, None]
        row = t.to(tl.int64)[:, None]
        x_tc = tl.load(
            x + row * DEPTH + c[None, :], mask=is_token & (c < DEPTH)[None, :], other=0.0
        )
        if DROPS:
            kept = drop(
                x_tc, table, scales, keys, examples, positions, s, t, c, end
            )  # fmt: skip
            x_tc = kept.to(x_tc.dtype)
        is_column = is_token & (c < size)[None, :]
        dy_tc = tl.load(dy + row * Y_ROW + (first_column + c)[None, :], mask=is_column, other=0.0)
        at = low_at(s % SLOTS, t, r, num_tokens, RANKS)
        low_tr = tl.load(low + at, mask=is_token, other=0.0)
        dlow_tr = tl.load(dlow + at, mask=is_token, other=0.0)
        da_rc += dot(tl.trans(dlow_tr), x_tc, PRECISION)
        db_rc += dot(tl.trans(low_tr), dy_tc, PRECISION)
    is_rank = (r < rank)[:, None]
    da = gradients + field(table, s, DA) + r[:, None] * DEPTH + c[None, :]
    tl.store(da, da_rc, mask=is_rank & (c < DEPTH)[None, :])
    db_rc *= tl.load(scales + 2 * s + SCALING)
    db = gradients + field(table, s, DB) + c[None, :] * rank + r[:, None]
    tl.store(db, db_rc, mask=is_rank & (c < size)[None, :])
