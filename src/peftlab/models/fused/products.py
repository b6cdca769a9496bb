"""Small matrix products for the kernels: those of one head of one example.

Arrays are C-contiguous; an output is overwritten and overlaps no input. Four rows of the output
take four rows of the right factor at a time, so that what is loaded is used four times.
"""

from __future__ import annotations

import numpy as np

from peftlab.models.fused.jit import part
from peftlab.models.fused.launch import Floats

ZERO = np.float32(0.0)


@part
def product(out_MN: Floats, a_MK: Floats, b_KN: Floats) -> None:
    """out = a @ b; rows of `a` may be longer than K, what is beyond is not read."""
    rows, depth = out_MN.shape[0], b_KN.shape[0]
    for i in range(rows):
        _clear(out_MN[i])
    for group in range(rows // 4):
        i = 4 * group
        o0, o1, o2, o3 = out_MN[i], out_MN[i + 1], out_MN[i + 2], out_MN[i + 3]
        a0, a1, a2, a3 = a_MK[i], a_MK[i + 1], a_MK[i + 2], a_MK[i + 3]
        for inner in range(depth // 4):
            k = 4 * inner
            _add_tile(
                o0, o1, o2, o3,
                b_KN[k], b_KN[k + 1], b_KN[k + 2], b_KN[k + 3],
                a0[k], a0[k + 1], a0[k + 2], a0[k + 3],
                a1[k], a1[k + 1], a1[k + 2], a1[k + 3],
                a2[k], a2[k + 1], a2[k + 2], a2[k + 3],
                a3[k], a3[k + 1], a3[k + 2], a3[k + 3],
            )  # fmt: skip
        for k in range(depth // 4 * 4, depth):
            _add_row(o0, b_KN[k], a0[k])
            _add_row(o1, b_KN[k], a1[k])
            _add_row(o2, b_KN[k], a2[k])
            _add_row(o3, b_KN[k], a3[k])
    for i in range(rows // 4 * 4, rows):
        for k in range(depth):
            _add_row(out_MN[i], b_KN[k], a_MK[i, k])


@part
def transposed_product(out_MN: Floats, a_KM: Floats, b_KN: Floats) -> None:
    """out = a.T @ b; rows of `a` may be longer than M, what is beyond is not read."""
    rows, depth = out_MN.shape[0], b_KN.shape[0]
    for i in range(rows):
        _clear(out_MN[i])
    for group in range(rows // 4):
        i = 4 * group
        o0, o1, o2, o3 = out_MN[i], out_MN[i + 1], out_MN[i + 2], out_MN[i + 3]
        for inner in range(depth // 4):
            k = 4 * inner
            a0, a1, a2, a3 = a_KM[k], a_KM[k + 1], a_KM[k + 2], a_KM[k + 3]
            _add_tile(
                o0, o1, o2, o3,
                b_KN[k], b_KN[k + 1], b_KN[k + 2], b_KN[k + 3],
                a0[i], a1[i], a2[i], a3[i],
                a0[i + 1], a1[i + 1], a2[i + 1], a3[i + 1],
                a0[i + 2], a1[i + 2], a2[i + 2], a3[i + 2],
                a0[i + 3], a1[i + 3], a2[i + 3], a3[i + 3],
            )  # fmt: skip
        for k in range(depth // 4 * 4, depth):
            a = a_KM[k]
            _add_row(o0, b_KN[k], a[i])
            _add_row(o1, b_KN[k], a[i + 1])
            _add_row(o2, b_KN[k], a[i + 2])
            _add_row(o3, b_KN[k], a[i + 3])
    for i in range(rows // 4 * 4, rows):
        for k in range(depth):
            _add_row(out_MN[i], b_KN[k], a_KM[k, i])


@part
def copy_scaled(out_N: Floats, x_N: Floats, factor: np.float32) -> None:
    """out = factor * x."""
    for j in range(len(out_N)):
        out_N[j] = x_N[j] * factor


@part
def _clear(out_N: Floats) -> None:
    for j in range(len(out_N)):
        out_N[j] = ZERO


@part
def _add_row(out_N: Floats, b_N: Floats, factor: np.float32) -> None:
    for j in range(len(out_N)):
        out_N[j] += factor * b_N[j]


@part
def _add_tile(
    o0: Floats, o1: Floats, o2: Floats, o3: Floats,
    b0: Floats, b1: Floats, b2: Floats, b3: Floats,
    a00: np.float32, a01: np.float32, a02: np.float32, a03: np.float32,
    a10: np.float32, a11: np.float32, a12: np.float32, a13: np.float32,
    a20: np.float32, a21: np.float32, a22: np.float32, a23: np.float32,
    a30: np.float32, a31: np.float32, a32: np.float32, a33: np.float32,
) -> None:  # fmt: skip
    for j in range(len(o0)):
        x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
        o0[j] += (a00 * x0 + a01 * x1) + (a02 * x2 + a03 * x3)
        o1[j] += (a10 * x0 + a11 * x1) + (a12 * x2 + a13 * x3)
        o2[j] += (a20 * x0 + a21 * x1) + (a22 * x2 + a23 * x3)
        o3[j] += (a30 * x0 + a31 * x1) + (a32 * x2 + a33 * x3)
