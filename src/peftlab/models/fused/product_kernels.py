"""The kernels for a matrix product, and what tells one product from another when one is chosen.

One more kernel is one more entry of `PRODUCT_KERNELS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from peftlab.models.fused import library
from peftlab.models.fused.matmul import multiply_by_kernel
from peftlab.models.fused.recording import EXAMPLES

Layout = Literal["forward", "to the input", "to the weights"]
FEWEST_TOKENS = 48
"""The number of rows from which a product is one of tokens, below it one of a batch's examples."""


@dataclass(frozen=True, kw_only=True)
class ProductKernel:
    """A kernel for products of float32.

    multiply(a, b, out, start, scale) sets out = start + scale * a @ b, where `start` is one row,
    `out` itself, or None for zeros. `rounded_dtype` is the type in which it takes factors that
    are rounded to bfloat16.
    """

    multiply: Callable[[Tensor, Tensor, Tensor, Tensor | None, float], None]
    rounded_dtype: torch.dtype
    is_there: bool = True


OWN, LIBRARY = "own", "library"
PRODUCT_KERNELS: Mapping[str, ProductKernel] = MappingProxyType(
    {
        OWN: ProductKernel(multiply=multiply_by_kernel, rounded_dtype=torch.float32),
        LIBRARY: ProductKernel(
            multiply=library.multiply,
            rounded_dtype=torch.bfloat16,
            is_there=library.IS_THERE,
        ),
    }
)
"""The first is used where no other is found to be faster."""


class Shape(NamedTuple):
    """What a product of a layer is, whatever the number of its tokens.

    `inner` and `outer` are the sizes of the matrix without tokens: depth and columns of the right
    factor, or rows and columns of the gradient of a weight. A product of `few` rows is one of the
    pooled tokens.
    """

    layout: Layout
    inner: int
    outer: int
    is_rounded: bool
    few: bool

    @classmethod
    def of(cls, a: Tensor, b: Tensor, *, is_rounded: bool) -> Shape:
        """Return the shape of a @ b."""
        (rows, depth), columns = a.shape, b.shape[1]
        if a.stride(1) != 1:
            return cls("to the weights", rows, columns, is_rounded, _is_few(depth))
        layout: Layout = "to the input" if b.stride(1) == 1 else "forward"
        return cls(layout, depth, columns, is_rounded, _is_few(rows))

    @property
    def name(self) -> str:
        """The shape in words.

        >>> Shape("forward", 384, 1536, is_rounded=True, few=False).name
        'forward, 384 x 1536, tokens, bf16'
        """
        rows = "examples" if self.few else "tokens"
        precision = "bf16" if self.is_rounded else "fp32"
        return f"{self.layout}, {self.inner} x {self.outer}, {rows}, {precision}"


def _is_few(rows: int) -> bool:
    """Return whether these are rows of examples; while recording, sizes stand for themselves."""
    return rows < FEWEST_TOKENS or rows >= EXAMPLES
