"""Sums over the rows of a batch, which are the gradients of biases and of a norm's weights; and of
two matrices."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from peftlab.models.fused.jit import kernel, part, prange
from peftlab.models.fused.launch import Entry, Floats, Integers, Reals, launch, matrix, vector

STRIPE = 64
"""Columns that a thread sums at a time."""


@part
def _add(out_S: Floats, x_S: Floats) -> None:
    for c in range(len(out_S)):
        out_S[c] += x_S[c]


@part
def _add_products(out_S: Floats, x_S: Floats, y_S: Floats) -> None:
    for c in range(len(out_S)):
        out_S[c] += x_S[c] * y_S[c]


@kernel
def sums_kernel(x_RC: Floats, y_RC: Floats, is_product: bool, out_C: Floats) -> None:
    """out = sum over the rows of x, or of x * y."""
    num_rows, width = x_RC.shape
    for stripe in prange((width + STRIPE - 1) // STRIPE):
        first, end = stripe * STRIPE, min(width, (stripe + 1) * STRIPE)
        out_S = out_C[first:end]
        out_S[:] = np.float32(0.0)
        for r in range(num_rows):
            if is_product:
                _add_products(out_S, x_RC[r, first:end], y_RC[r, first:end])
            else:
                _add(out_S, x_RC[r, first:end])


@kernel
def add_kernel(x_RC: Floats, out_RC: Floats) -> None:
    """out += x."""
    for r in prange(len(x_RC)):
        _add(out_RC[r], x_RC[r])


@Entry
def _sums_entry(n: Integers, f: Reals) -> None:
    sums_kernel(matrix(n[0], n[3], n[4]), matrix(n[1], n[3], n[4]), n[5] != 0, vector(n[2], n[4]))


@Entry
def _add_entry(n: Integers, f: Reals) -> None:
    add_kernel(matrix(n[0], n[2], n[3]), matrix(n[1], n[2], n[3]))


def column_sums(x_RC: Tensor, y_RC: Tensor | None = None) -> Tensor:
    """The sum over the rows of x, or of x * y: [C]; not differentiated."""
    out_C = x_RC.new_empty(x_RC.shape[1])
    launch(
        _sums_entry,
        (x_RC, x_RC if y_RC is None else y_RC, out_C),
        (*x_RC.shape, y_RC is not None),
    )
    return out_C


def add_to(out_RC: Tensor, x_RC: Tensor) -> None:
    """out += x, both contiguous; not differentiated."""
    launch(_add_entry, (x_RC, out_RC), x_RC.shape)
