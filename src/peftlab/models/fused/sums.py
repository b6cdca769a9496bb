"""Sums over the rows of a batch, as for gradients of biases and norms, and of two matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from peftlab.models.fused.jit import kernel, part, prange
from peftlab.models.fused.launch import EntryPoint, Floats, launch, matrix, vector

STRIPE = 64
"""The number of columns that a thread sums at a time."""


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
    """Set out to the sum over the rows of x, or of x * y."""
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
    """Compute out += x."""
    for r in prange(len(x_RC)):
        _add(out_RC[r], x_RC[r])


class _Summed(NamedTuple):
    x: Tensor
    y: Tensor
    out: Tensor
    rows: int
    width: int
    is_product: bool


class _Added(NamedTuple):
    x: Tensor
    out: Tensor
    rows: int
    width: int


@EntryPoint
def _sums(n: _Summed) -> None:
    x, y = matrix(n.x, n.rows, n.width), matrix(n.y, n.rows, n.width)
    sums_kernel(x, y, n.is_product != 0, vector(n.out, n.width))


@EntryPoint
def _addition(n: _Added) -> None:
    add_kernel(matrix(n.x, n.rows, n.width), matrix(n.out, n.rows, n.width))


def column_sums(x_RC: Tensor, y_RC: Tensor | None = None) -> Tensor:
    """Return the sum over the rows of x, or of x * y: [C]; not differentiated."""
    out_C = x_RC.new_empty(x_RC.shape[1])
    rows, width = x_RC.shape
    second = x_RC if y_RC is None else y_RC
    launch(_sums, _Summed(x_RC, second, out_C, rows, width, y_RC is not None))
    return out_C


def add_to(out_RC: Tensor, x_RC: Tensor) -> None:
    """Compute out += x, both contiguous; not differentiated."""
    launch(_addition, _Added(x_RC, out_RC, *x_RC.shape))
