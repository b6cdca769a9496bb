"""GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), exact to single precision.

x * Phi(x), where Phi is the normal distribution. One exponential an element gives both Phi, by
formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7), and its derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import gelu as plain_gelu
from transformers.activations import GELUActivation

from peftlab.models.fused.jit import inline, kernel, part, prange, runs_kernels
from peftlab.models.fused.math32 import exponential
from peftlab.models.fused.products import Floats

f32 = np.float32
ONE, HALF = f32(1.0), f32(0.5)
SQRT_HALF = f32(0.7071067811865476)
INVERSE_SQRT_TAU = f32(0.3989422804014327)


@inline
def _normal(x: np.float32, e: np.float32) -> np.float32:
    """Phi(x), given e = exp(-x * x / 2)."""
    t = ONE / (ONE + f32(0.3275911) * abs(x) * SQRT_HALF)
    p = f32(1.061405429)
    p = p * t + f32(-1.453152027)
    p = p * t + f32(1.421413741)
    p = p * t + f32(-0.284496736)
    p = p * t + f32(0.254829592)
    tail = HALF * p * t * e
    return tail if x < f32(0.0) else ONE - tail


@part
def _forward_row(x_F: Floats, out_F: Floats) -> None:
    for c in range(len(x_F)):
        x = x_F[c]
        out_F[c] = x * _normal(x, exponential(-HALF * x * x))


@part
def _backward_row(dy_F: Floats, x_F: Floats, dx_F: Floats) -> None:
    for c in range(len(x_F)):
        x = x_F[c]
        e = exponential(-HALF * x * x)
        dx_F[c] = dy_F[c] * (_normal(x, e) + x * e * INVERSE_SQRT_TAU)


@kernel
def forward_kernel(x_RF: Floats, out_RF: Floats) -> None:
    """out = gelu(x)."""
    for r in prange(len(x_RF)):
        _forward_row(x_RF[r], out_RF[r])


@kernel
def backward_kernel(dy_RF: Floats, x_RF: Floats, dx_RF: Floats) -> None:
    """dx = dy * gelu'(x)."""
    for r in prange(len(x_RF)):
        _backward_row(dy_RF[r], x_RF[r], dx_RF[r])


def activated(activation: Callable[[Tensor], Tensor], x_RF: Tensor) -> Tensor:
    """The activation of `x` [R, F]: by the kernel if it is the exact GELU, else as it is."""
    if _is_exact_gelu(activation) and runs_kernels(x_RF):
        return _Gelu.apply(x_RF)  # type: ignore[no-any-return, no-untyped-call]
    return activation(x_RF)


def _is_exact_gelu(activation: Any) -> bool:
    return type(activation) is GELUActivation and activation.act is plain_gelu


class _Gelu(Function):
    @staticmethod
    def forward(ctx: Any, x_RF: Tensor) -> Tensor:
        x_RF = x_RF.detach().contiguous()
        out_RF = torch.empty_like(x_RF)
        forward_kernel(x_RF.numpy(), out_RF.numpy())
        ctx.save_for_backward(x_RF)
        return out_RF

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x_RF,) = ctx.saved_tensors
        dx_RF = torch.empty_like(x_RF)
        backward_kernel(grads[0].contiguous().numpy(), x_RF.numpy(), dx_RF.numpy())
        return dx_RF
