"""Matrix products by a kernel of our own.

A thread takes WIDTH columns of the output at a time: it copies that part of the right factor into
a panel that stays in its cache, and multiplies all rows of the left factor with it, a tile of
registers at a time (tiles.py). Nothing of the weights is kept between calls.

Legend: R rows, K depth, N columns. In the kernels a matrix is an address and a distance between
rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from peftlab.models.fused.jit import inline, kernel, prange, routine
from peftlab.models.fused.launch import EntryPoint, launch
from peftlab.models.fused.math32 import ZERO
from peftlab.models.fused.tiles import (
    HEIGHT,
    LANES,
    WIDTH,
    address_of,
    copy_row,
    multiply_tile,
    prefetch,
    read,
    transpose_square,
    write,
)

f32 = np.float32
DEPTH = 512
"""The number of rows in a panel: with WIDTH columns it takes up to 64 KiB."""
SIZE = 4
"""The bytes of an element."""
LINE = 16
"""The number of elements in a cache line."""
SCRATCH = (DEPTH + HEIGHT + 1) * WIDTH
"""The number of elements that multiply_panel needs for a panel, a tile and a row."""
PAGE = 1024
"""The number of elements in 4 KiB: rows a multiple of it apart share a few places of a cache."""


@inline
def aligned(address: int) -> int:
    """Return the start of the first cache line at or after the address."""
    return (address + SIZE * LINE - 1) // (SIZE * LINE) * (SIZE * LINE)


@inline
def _pack_rows(panel: int, b: int, b_row: int, columns: int, depth: int) -> None:
    """Set panel[k, j] = b[j, k]; values beyond `columns` are undefined."""
    whole_depth = depth // LANES * LANES
    for j in range(0, columns, LANES):
        for k in range(0, whole_depth, LANES):
            transpose_square(
                b + SIZE * (j * b_row + k),
                b_row,
                columns - 1 - j,
                panel + SIZE * (k * WIDTH + j),
                WIDTH,
            )
        for k in range(whole_depth, depth):
            for lane in range(j, min(j + LANES, columns)):
                write(panel + SIZE * (k * WIDTH + lane), read(b + SIZE * (lane * b_row + k)))


@inline
def _pack_columns(panel: int, b: int, b_row: int, columns: int, depth: int) -> None:
    """Set panel[k, j] = b[k, j]; values beyond `columns` are undefined."""
    for k in range(depth):
        if columns == WIDTH:
            copy_row(b + SIZE * k * b_row, panel + SIZE * k * WIDTH)
        else:
            for j in range(columns):
                write(panel + SIZE * (k * WIDTH + j), read(b + SIZE * (k * b_row + j)))


@inline
def _copy(out: int, out_row: int, x: int, x_row: int, rows: int, columns: int) -> None:
    for i in range(rows):
        for j in range(columns):
            write(out + SIZE * (i * out_row + j), read(x + SIZE * (i * x_row + j)))


@routine
def multiply_panel(
    a: int,
    a_row: int,
    a_step: int,
    b: int,
    b_row: int,
    b_transposed: bool,
    start: int,
    start_row: int,
    out: int,
    out_row: int,
    rows: int,
    width: int,
    has_room: bool,
    depth: int,
    scale: np.float32,
    ahead: int,
    scratch: int,
) -> None:
    """Compute up to WIDTH columns of a product, as defined for matmul_kernel.

    If `has_room`, WIDTH columns of `out` may be written, and as many of `start` read. `ahead` is
    the address of the columns that are needed next, 0 if unknown; `scratch` has SCRATCH elements.
    """
    panel, edge = scratch, scratch + SIZE * DEPTH * WIDTH
    if start == 0:
        start, start_row = edge + SIZE * HEIGHT * WIDTH, 0
        for j in range(WIDTH):
            write(start + SIZE * j, ZERO)
    vectors = (width + LANES - 1) // LANES
    is_edge = width < vectors * LANES and not has_room
    num_tiles, num_parts = (rows + HEIGHT - 1) // HEIGHT, (depth + DEPTH - 1) // DEPTH
    for part in range(num_parts):
        k_first, k_end = depth * part // num_parts, depth * (part + 1) // num_parts
        k_length = k_end - k_first
        if b_transposed:
            _pack_rows(panel, b + SIZE * k_first, b_row, width, k_length)
        else:
            _pack_columns(panel, b + SIZE * k_first * b_row, b_row, width, k_length)
        if scale != f32(1.0):
            for k in range(k_length * WIDTH):
                write(panel + SIZE * k, read(panel + SIZE * k) * scale)
        following = b + SIZE * k_end * b_row if part + 1 < num_parts else ahead
        for tile in range(num_tiles):
            i, end = rows * tile // num_tiles, rows * (tile + 1) // num_tiles
            if following != 0 and not b_transposed:
                # The lines of a column are far apart: no processor prefetches them by itself.
                for k in range(k_length * tile // num_tiles, k_length * (tile + 1) // num_tiles):
                    for line in range(0, WIDTH, LINE):
                        prefetch(following + SIZE * (k * b_row + line))
            for r in range(end, min(end + HEIGHT, rows)):
                for line in range(0, WIDTH, LINE):
                    prefetch(out + SIZE * (r * out_row + line))
            target, target_row = out + SIZE * i * out_row, out_row
            source, source_row = target, target_row
            if part == 0:
                source, source_row = start + SIZE * i * start_row, start_row
            if is_edge:
                _copy(edge, WIDTH, source, source_row, end - i, width)
                source, source_row = edge, WIDTH
            multiply_tile(
                end - i,
                vectors,
                a + SIZE * (i * a_row + k_first * a_step),
                a_row,
                a_step,
                panel,
                source,
                source_row,
                edge if is_edge else target,
                WIDTH if is_edge else target_row,
                k_length,
            )
            if is_edge:
                _copy(target, target_row, edge, WIDTH, end - i, width)


@kernel
def matmul_kernel(
    a: int,
    a_row: int,
    a_step: int,
    b: int,
    b_row: int,
    b_transposed: bool,
    start: int,
    start_row: int,
    out: int,
    out_row: int,
    rows: int,
    columns: int,
    depth: int,
    threads: int,
    scale: np.float32,
) -> None:
    """Set out[i, j] = start[i, j] + scale * sum over k of a[i, k] * b[k, j].

    If `b_transposed`, b[j, k] takes the place of b[k, j]. Element a[i, k] is at `a_row` * i +
    `a_step` * k after `a`. A `start_row` of 0 takes one row for all, a `start` of 0 starts from
    zeros, and `start` may be `out`. All sizes are at least 1.
    """
    num_panels = (columns + WIDTH - 1) // WIDTH
    num_chunks = max(1, min((rows + HEIGHT - 1) // HEIGHT, 2 * threads // num_panels))
    is_crowded = a_step == 1 and a_row % PAGE == 0 and num_panels > 1
    spaced_row = depth + LINE
    spaced = np.empty(rows * spaced_row if is_crowded else 0, f32)
    if is_crowded:
        for i in prange(rows):
            _copy(address_of(spaced) + SIZE * i * spaced_row, 0, a + SIZE * i * a_row, 0, 1, depth)
    left = address_of(spaced) if is_crowded else a
    left_row = spaced_row if is_crowded else a_row
    column = SIZE * (b_row if b_transposed else 1)
    for index in prange(num_panels * num_chunks):
        first, chunk = index // num_chunks * WIDTH, index % num_chunks
        i, end = rows * chunk // num_chunks, rows * (chunk + 1) // num_chunks
        scratch = np.empty(SCRATCH + LINE, f32)
        multiply_panel(
            left + SIZE * i * left_row,
            left_row,
            a_step,
            b + column * first,
            b_row,
            b_transposed,
            start + SIZE * (i * start_row + first) if start != 0 else 0,
            start_row,
            out + SIZE * (i * out_row + first),
            out_row,
            end - i,
            min(WIDTH, columns - first),
            False,
            depth,
            scale,
            b + column * (first + WIDTH),
            aligned(address_of(scratch)),
        )
        scratch[0] = ZERO  # used last: until here its address is good
    if is_crowded:
        spaced[0] = ZERO


@inline
def multiply(
    a: int,
    a_row: int,
    a_step: int,
    b: int,
    b_row: int,
    b_transposed: bool,
    out: int,
    out_row: int,
    has_room: bool,
    rows: int,
    columns: int,
    depth: int,
    scratch: int,
) -> None:
    """Set out = a @ b on one thread, as matmul_kernel does, for kernels with small products.

    If `has_room`, columns of `out` up to the next multiple of WIDTH may be written too.
    """
    column = SIZE * (b_row if b_transposed else 1)
    for first in range(0, columns, WIDTH):
        multiply_panel(
            a,
            a_row,
            a_step,
            b + column * first,
            b_row,
            b_transposed,
            0,
            0,
            out + SIZE * first,
            out_row,
            rows,
            min(WIDTH, columns - first),
            has_room,
            depth,
            f32(1.0),
            0,
            scratch,
        )


class Product(NamedTuple):
    """The fields of out = start + scale * a @ b, as matmul_kernel takes them."""

    a: Tensor
    b: Tensor
    out: Tensor
    start: Tensor
    a_row: int
    a_step: int
    b_row: int
    b_transposed: bool
    has_start: bool
    start_row: int
    out_row: int
    rows: int
    columns: int
    depth: int
    threads: int
    scale: float


@EntryPoint
def _matmul(n: Product) -> None:
    start = n.start if n.has_start != 0 else 0
    matmul_kernel(
        n.a, n.a_row, n.a_step, n.b, n.b_row, n.b_transposed != 0, start, n.start_row,
        n.out, n.out_row, n.rows, n.columns, n.depth, n.threads, f32(n.scale),
    )  # fmt: skip


def product_of(
    a_RK: Tensor, b_KN: Tensor, out_RN: Tensor, start: Tensor | None, scale: float
) -> Product:
    """Return the fields; `start` is one row, or `out` itself, or None for zeros."""
    a_row, a_step = a_RK.stride()
    b_row, b_column = b_KN.stride()
    is_transposed = b_column != 1
    rows, columns = out_RN.shape
    return Product(
        a=a_RK,
        b=b_KN,
        out=out_RN,
        start=out_RN if start is None else start,
        a_row=a_row,
        a_step=a_step,
        b_row=b_column if is_transposed else b_row,
        b_transposed=is_transposed,
        has_start=start is not None,
        start_row=out_RN.stride(0) if start is out_RN else 0,
        out_row=out_RN.stride(0),
        rows=rows,
        columns=columns,
        depth=a_RK.shape[1],
        threads=torch.get_num_threads(),
        scale=scale,
    )


def multiply_by_kernel(
    a_RK: Tensor, b_KN: Tensor, out_RN: Tensor, start: Tensor | None, scale: float
) -> None:
    """Set out = start + scale * a @ b. `start` is one row, or `out` itself, or None for zeros."""
    launch(_matmul, product_of(a_RK, b_KN, out_RN, start, scale))
