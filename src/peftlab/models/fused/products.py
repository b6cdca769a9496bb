"""The matrix products of layers; nothing here is differentiated.

Each is computed by the kernel that is faster for its shape on this machine (choices.py). Within
torch's autocast both factors are rounded to bfloat16 first, and sums stay in float32.

Legend: R rows, K depth, N columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from peftlab.models.fused.choices import kernel_of
from peftlab.models.fused.launch import at_once
from peftlab.models.fused.product_kernels import PRODUCT_KERNELS, Shape
from peftlab.models.fused.rounding import rounded, rounds


class Fixed:
    """A matrix that does not change. It is rounded once for all products that take it rounded."""

    def __init__(self, x: Tensor) -> None:
        self._x = x
        self._rounded: dict[torch.dtype, Tensor] = {}
        self._is_turned = False

    @property
    def T(self) -> Fixed:
        """The transpose, which shares the roundings."""
        turned = Fixed(self._x)
        turned._rounded, turned._is_turned = self._rounded, not self._is_turned
        return turned

    @property
    def roundings(self) -> list[Tensor]:
        """The roundings that have been asked for."""
        return [*self._rounded.values()]

    @property
    def exact(self) -> Tensor:
        """The matrix as it is."""
        return self._x.T if self._is_turned else self._x

    @property
    def shape(self) -> torch.Size:
        """The numbers of rows and columns."""
        return self.exact.shape

    def rounded(self, dtype: torch.dtype) -> Tensor:
        """Return the matrix rounded to bfloat16, as that type or as float32."""
        if dtype not in self._rounded:
            with at_once():
                self._rounded[dtype] = rounded(self._x, dtype)
        found = self._rounded[dtype]
        return found.T if self._is_turned else found


Matrix = Tensor | Fixed


def linear(x_RK: Tensor, weight_NK: Matrix, bias_N: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias, [R, N]."""
    out_RN = x_RK.new_empty(x_RK.shape[0], weight_NK.shape[0])
    _multiply(x_RK, weight_NK.T, out_RN, bias_N, 1.0)
    return out_RN


def matmul(
    a_RK: Tensor, b_KN: Matrix, *, scale: float = 1.0, out_RN: Tensor | None = None
) -> Tensor:
    """Return scale * a @ b, [R, N], written to `out` if that is given."""
    if out_RN is None:
        out_RN = a_RK.new_empty(a_RK.shape[0], b_KN.shape[1])
    _multiply(a_RK, b_KN, out_RN, None, scale)
    return out_RN


def add_matmul(out_RN: Tensor, a_RK: Tensor, b_KN: Matrix, *, scale: float = 1.0) -> None:
    """Compute out += scale * a @ b."""
    _multiply(a_RK, b_KN, out_RN, out_RN, scale)


def _multiply(
    a_RK: Tensor, b_KN: Matrix, out_RN: Tensor, start: Tensor | None, scale: float
) -> None:
    exact = b_KN.exact if isinstance(b_KN, Fixed) else b_KN
    is_rounded = rounds()
    kernel = PRODUCT_KERNELS[kernel_of(Shape.of(a_RK, exact, is_rounded=is_rounded))]
    b = exact
    if is_rounded:
        a_RK = rounded(a_RK, kernel.rounded_dtype)
        if isinstance(b_KN, Fixed):
            b = b_KN.rounded(kernel.rounded_dtype)
        else:
            b = rounded(exact, kernel.rounded_dtype)
    kernel.multiply(a_RK, b, out_RN, start, scale)
