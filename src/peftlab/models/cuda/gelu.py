"""GELU as Triton kernels; the slope is found again in the backward pass.

A layer's bias is added by the product before (cuBLAS's epilogue), not here.
"""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from peftlab.models.cuda.jit import Pointer, Value, kernel
from peftlab.models.fused.gelu import GeluSettings
from peftlab.models.fused.operation import Gradients, Node

BLOCK = 1024
SQRT_HALF, INVERSE_SQRT_TAU = tl.constexpr(0.7071067811865476), tl.constexpr(0.3989422804014327)


@kernel
def normal(x: Value) -> Value:
    """Phi(x)."""
    return 0.5 * (1.0 + tl.erf(x * SQRT_HALF))


@kernel
def forward_kernel(x: Pointer, out: Pointer, size: int, BLOCK: tl.constexpr) -> None:
    """out = gelu(x)."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < size, other=0.0).to(tl.float32)
    tl.store(out + i, v * normal(v), mask=i < size)


@kernel
def backward_kernel(dy: Pointer, x: Pointer, dx: Pointer, size: int, BLOCK: tl.constexpr) -> None:
    """dx = dy * gelu'(x)."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < size, other=0.0).to(tl.float32)
    g = tl.load(dy + i, mask=i < size, other=0.0).to(tl.float32)
    slope = normal(v) + v * INVERSE_SQRT_TAU * tl.exp(-0.5 * v * v)
    tl.store(dx + i, g * slope, mask=i < size)


class GeluKernels:
    """The kernels of `Gelu`."""

    @staticmethod
    def forward(settings: GeluSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return gelu(x); x is kept."""
        (x_RF,) = inputs
        out_RF, size = torch.empty_like(x_RF), x_RF.numel()
        forward_kernel[(-(-size // BLOCK),)](x_RF, out_RF, size, BLOCK)
        return out_RF, x_RF

    @staticmethod
    def backward(
        settings: GeluSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradient of x."""
        dx_RF, size = torch.empty_like(kept), kept.numel()
        backward_kernel[(-(-size // BLOCK),)](gradient, kept, dx_RF, size, BLOCK)
        inputs[0].add(dx_RF)
