"""The rounding of a product's factors to bfloat16, by kernels.

A number is rounded to the nearest bfloat16, and to the even one of two that are equally near, as
torch does. What is no number stays none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from peftlab.models.fused.jit import inline, kernel, prange
from peftlab.models.fused.launch import EntryPoint, halves, launch, vector
from peftlab.models.fused.matmul import SIZE

HALF = 2
"""The bytes of a bfloat16."""
INFINITY, QUIET = 0x7F800000, 0x00400000
"""The bits of infinity, and the bit with which what is no number is still none when it is cut."""


@inline
def _rounded_bits(bits: int) -> int:
    """Return the bits of a float32, the upper 16 of which are those of the nearest bfloat16."""
    if (bits & 0x7FFFFFFF) > INFINITY:
        return bits | QUIET
    return bits + 0x7FFF + ((bits >> 16) & 1)


@kernel
def _round_to_half(x: int, x_row: int, out: int, rows: int, columns: int) -> None:
    for i in prange(rows):
        bits = vector(x + SIZE * i * x_row, columns).view(np.uint32)
        half = halves(out + HALF * i * columns, columns)
        for j in range(columns):
            half[j] = _rounded_bits(bits[j]) >> 16


@kernel
def _round_to_single(x: int, x_row: int, out: int, rows: int, columns: int) -> None:
    for i in prange(rows):
        bits = vector(x + SIZE * i * x_row, columns).view(np.uint32)
        rounded = vector(out + SIZE * i * columns, columns).view(np.uint32)
        for j in range(columns):
            rounded[j] = _rounded_bits(bits[j]) & 0xFFFF0000


class _Rounding(NamedTuple):
    x: Tensor
    out: Tensor
    x_row: int
    rows: int
    columns: int


@EntryPoint
def _to_half(n: _Rounding) -> None:
    _round_to_half(n.x, n.x_row, n.out, n.rows, n.columns)


@EntryPoint
def _to_single(n: _Rounding) -> None:
    _round_to_single(n.x, n.x_row, n.out, n.rows, n.columns)


def rounds() -> bool:
    """Return whether products on the processor round their factors now: within autocast."""
    return torch.is_autocast_enabled("cpu")


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the matrix with its numbers rounded to bfloat16, as that type or as float32.

    `x` is float32, its rows or its columns one after another, and so are those of the result.
    """
    flips = x.stride(1) != 1
    lying = x.T if flips else x
    out = torch.empty_like(lying, dtype=dtype, memory_format=torch.contiguous_format)
    rows, columns = lying.shape
    given = _Rounding(x=lying, out=out, x_row=lying.stride(0), rows=rows, columns=columns)
    launch(_to_half if dtype is torch.bfloat16 else _to_single, given)
    return out.T if flips else out
