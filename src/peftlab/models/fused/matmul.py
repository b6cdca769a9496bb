"""Matrix products of layers, by a kernel; nothing here is differentiated.

A thread takes WIDTH columns of the output at a time: it copies that part of the right factor into
a panel that stays in its cache, and multiplies all rows of the left factor with it, a tile of
registers at a time (tiles.py). Nothing of the weights is kept between calls.

Legend: R rows, K depth, N columns. In the kernels a matrix is an address and a distance of rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from peftlab.models.fused.jit import inline, kernel, prange
from peftlab.models.fused.launch import Entry, Integers, Reals, launch
from peftlab.models.fused.products import ZERO
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
"""Rows of a panel: with WIDTH columns it takes up to 64 KiB."""
SIZE = 4
"""Bytes of an element."""
LINE = 16
"""Elements of a cache line."""
PAGE = 1024
"""Elements of 4 KiB: rows a multiple of it apart fall into the same few places of a cache."""


@inline
def _pack_rows(panel: int, b: int, b_row: int, columns: int, depth: int) -> None:
    """panel[k, j] = b[j, k], 0 beyond `columns`."""
    whole_columns, whole_depth = columns // LANES * LANES, depth // LANES * LANES
    for j in range(0, whole_columns, LANES):
        for k in range(0, whole_depth, LANES):
            transpose_square(
                b + SIZE * (j * b_row + k), b_row, panel + SIZE * (k * WIDTH + j), WIDTH
            )
        for k in range(whole_depth, depth):
            for lane in range(j, j + LANES):
                write(panel + SIZE * (k * WIDTH + lane), read(b + SIZE * (lane * b_row + k)))
    if whole_columns < WIDTH:
        for k in range(depth):
            for j in range(whole_columns, WIDTH):
                x = read(b + SIZE * (j * b_row + k)) if j < columns else ZERO
                write(panel + SIZE * (k * WIDTH + j), x)


@inline
def _pack_columns(panel: int, b: int, b_row: int, columns: int, depth: int) -> None:
    """panel[k, j] = b[k, j], 0 beyond `columns`."""
    for k in range(depth):
        if columns == WIDTH:
            copy_row(b + SIZE * k * b_row, panel + SIZE * k * WIDTH)
        else:
            for j in range(WIDTH):
                x = read(b + SIZE * (k * b_row + j)) if j < columns else ZERO
                write(panel + SIZE * (k * WIDTH + j), x)


@inline
def _copy(out: int, out_row: int, x: int, x_row: int, rows: int, columns: int) -> None:
    for i in range(rows):
        for j in range(columns):
            write(out + SIZE * (i * out_row + j), read(x + SIZE * (i * x_row + j)))


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
    """out[i, j] = start[i, j] + scale * sum over k of a[i, k] * b[k, j], or b[j, k] if transposed.

    Element a[i, k] is `a_row` * i + `a_step` * k behind `a`. `start_row` 0 takes one row for all;
    `start` may be `out`. All sizes are at least 1.
    """
    num_panels = (columns + WIDTH - 1) // WIDTH
    num_tiles = (rows + HEIGHT - 1) // HEIGHT
    num_parts = (depth + DEPTH - 1) // DEPTH
    num_chunks = max(1, min(num_tiles, 2 * threads // num_panels))
    is_crowded = a_step == 1 and a_row % PAGE == 0 and num_panels > 1
    spaced_row = depth + LINE
    spaced = np.empty(rows * spaced_row if is_crowded else 0, f32)
    if is_crowded:
        for i in prange(rows):
            _copy(address_of(spaced) + SIZE * i * spaced_row, 0, a + SIZE * i * a_row, 0, 1, depth)
    left = address_of(spaced) if is_crowded else a
    left_row = spaced_row if is_crowded else a_row
    for index in prange(num_panels * num_chunks):
        first, chunk = index // num_chunks * WIDTH, index % num_chunks
        width = min(WIDTH, columns - first)
        panel, edge = np.empty(DEPTH * WIDTH, f32), np.empty(HEIGHT * WIDTH, f32)
        first_tile = num_tiles * chunk // num_chunks
        end_tile = num_tiles * (chunk + 1) // num_chunks
        for part in range(num_parts):
            k_first, k_end = depth * part // num_parts, depth * (part + 1) // num_parts
            k_length = k_end - k_first
            if b_transposed:
                _pack_rows(
                    address_of(panel), b + SIZE * (first * b_row + k_first), b_row, width, k_length
                )
            else:
                _pack_columns(
                    address_of(panel), b + SIZE * (k_first * b_row + first), b_row, width, k_length
                )
            if scale != f32(1.0):
                for k in range(k_length * WIDTH):
                    panel[k] *= scale
            # Lines of a column are far apart: the processor does not fetch them ahead by itself.
            ahead = b + SIZE * (k_end * b_row + first if part + 1 < num_parts else first + WIDTH)
            for tile in range(first_tile, end_tile):
                i, end = rows * tile // num_tiles, rows * (tile + 1) // num_tiles
                if not b_transposed:
                    share, done = end_tile - first_tile, tile - first_tile
                    for k in range(k_length * done // share, k_length * (done + 1) // share):
                        for line in range(0, WIDTH, LINE):
                            prefetch(ahead + SIZE * (k * b_row + line))
                target, target_row = out + SIZE * (i * out_row + first), out_row
                source, source_row = target, target_row
                if part == 0:
                    source, source_row = start + SIZE * (i * start_row + first), start_row
                if width < WIDTH:
                    _copy(address_of(edge), WIDTH, source, source_row, end - i, width)
                    source, source_row = address_of(edge), WIDTH
                multiply_tile(
                    end - i,
                    left + SIZE * (i * left_row + k_first * a_step),
                    left_row,
                    a_step,
                    address_of(panel),
                    source,
                    source_row,
                    target if width == WIDTH else address_of(edge),
                    target_row if width == WIDTH else WIDTH,
                    k_length,
                )
                if width < WIDTH:
                    _copy(target, target_row, address_of(edge), WIDTH, end - i, width)
        panel[0], edge[0] = ZERO, ZERO  # used last: until here their addresses are good
    if is_crowded:
        spaced[0] = ZERO


@Entry
def _matmul_entry(n: Integers, f: Reals) -> None:
    matmul_kernel(
        n[0], n[4], n[5], n[1], n[6], n[7] != 0, n[2], n[8], n[3], n[9], n[10], n[11], n[12], n[13],
        f32(f[0]),
    )  # fmt: skip


def linear(
    x_RK: Tensor, weight_NK: Tensor, bias_N: Tensor | None = None, *, scale: float = 1.0
) -> Tensor:
    """scale * x @ weight.T + bias, [R, N]."""
    out_RN = x_RK.new_empty(len(x_RK), len(weight_NK))
    if bias_N is None:
        bias_N = x_RK.new_zeros(len(weight_NK))
    _run(x_RK, weight_NK.T, bias_N, 0, out_RN, scale)
    return out_RN


def matmul(a_RK: Tensor, b_KN: Tensor, *, scale: float = 1.0) -> Tensor:
    """scale * a @ b, [R, N]."""
    columns = b_KN.shape[1]
    out_RN = a_RK.new_empty(a_RK.shape[0], columns)
    _run(a_RK, b_KN, a_RK.new_zeros(columns), 0, out_RN, scale)
    return out_RN


def add_matmul(out_RN: Tensor, a_RK: Tensor, b_KN: Tensor) -> None:
    """out += a @ b."""
    _run(a_RK, b_KN, out_RN, out_RN.stride(0), out_RN, 1.0)


def _run(
    a_RK: Tensor, b_KN: Tensor, start: Tensor, start_row: int, out_RN: Tensor, scale: float
) -> None:
    a_row, a_step = a_RK.stride()
    b_row, b_column = b_KN.stride()
    is_transposed = b_column != 1
    rows, columns = out_RN.shape
    launch(
        _matmul_entry,
        (a_RK, b_KN, start, out_RN),
        (
            a_row,
            a_step,
            b_column if is_transposed else b_row,
            is_transposed,
            start_row,
            out_RN.stride(0),
            rows,
            columns,
            a_RK.shape[1],
            torch.get_num_threads(),
        ),
        (scale,),
    )
