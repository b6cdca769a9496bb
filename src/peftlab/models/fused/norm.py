"""LayerNorm of a residual sum, the added part dropped out: one pass over the rows.

y = LayerNorm(residual + dropout(x)). Kept for the backward pass are the normalised rows and
1 / standard deviation of each, as Ba et al. 2016 (arXiv 1607.06450) derive it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import layer_norm

from peftlab.models.fused.dropout import Places, plain_dropout
from peftlab.models.fused.generator import (
    LOW_32,
    channel_bits,
    row_bits,
    threshold_of,
    u32,
    u64,
)
from peftlab.models.fused.jit import kernel, prange, runs_kernels
from peftlab.models.fused.products import ZERO, Floats
from peftlab.models.fused.rows import Rows

f32 = np.float32


@kernel
def forward_kernel(
    x_RD: Floats,
    residual_RD: Floats,
    weight_D: Floats,
    bias_D: Floats,
    epsilon: np.float32,
    example_R: Places,
    position_R: Places,
    key: np.uint64,
    threshold: np.uint32,
    scale: np.float32,
    y_RD: Floats,
    normal_RD: Floats,
    inverse_R: Floats,
) -> None:
    """Fill y, the normalised rows and 1 / standard deviation; threshold 0 drops nothing."""
    num_rows, width = x_RD.shape
    for r in prange(num_rows):
        total = ZERO
        if threshold == u32(0):
            for c in range(width):
                z = residual_RD[r, c] + x_RD[r, c]
                normal_RD[r, c] = z
                total += z
        else:
            bits = row_bits(key, example_R[r], position_R[r])
            low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
            for c in range(width):
                kept = channel_bits(low, high, u32(c)) >= threshold
                z = residual_RD[r, c] + (x_RD[r, c] * scale if kept else ZERO)
                normal_RD[r, c] = z
                total += z
        mean = total / f32(width)
        squares = ZERO
        for c in range(width):
            d = normal_RD[r, c] - mean
            squares += d * d
        inverse = f32(1.0) / f32(math.sqrt(squares / f32(width) + epsilon))
        inverse_R[r] = inverse
        for c in range(width):
            n = (normal_RD[r, c] - mean) * inverse
            normal_RD[r, c] = n
            y_RD[r, c] = n * weight_D[c] + bias_D[c]


@kernel
def backward_kernel(
    dy_RD: Floats,
    normal_RD: Floats,
    inverse_R: Floats,
    weight_D: Floats,
    example_R: Places,
    position_R: Places,
    key: np.uint64,
    threshold: np.uint32,
    scale: np.float32,
    dresidual_RD: Floats,
    dx_RD: Floats,
) -> None:
    """Fill the gradients of the residual and of x."""
    num_rows, width = dy_RD.shape
    for r in prange(num_rows):
        mean, mean_normal = ZERO, ZERO
        for c in range(width):
            g = dy_RD[r, c] * weight_D[c]
            mean += g
            mean_normal += g * normal_RD[r, c]
        mean /= f32(width)
        mean_normal /= f32(width)
        inverse = inverse_R[r]
        if threshold == u32(0):
            for c in range(width):
                g = dy_RD[r, c] * weight_D[c]
                z = inverse * (g - mean - normal_RD[r, c] * mean_normal)
                dresidual_RD[r, c] = z
                dx_RD[r, c] = z
        else:
            bits = row_bits(key, example_R[r], position_R[r])
            low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
            for c in range(width):
                kept = channel_bits(low, high, u32(c)) >= threshold
                g = dy_RD[r, c] * weight_D[c]
                z = inverse * (g - mean - normal_RD[r, c] * mean_normal)
                dresidual_RD[r, c] = z
                dx_RD[r, c] = z * scale if kept else ZERO


def dropout_add_norm(
    x_RD: Tensor, residual_RD: Tensor, norm: nn.LayerNorm, rows: Rows, key: int, probability: float
) -> Tensor:
    """norm(residual + dropout(x)) [R, D], differentiable; probability 0 drops nothing."""
    if runs_kernels(x_RD, residual_RD, norm.weight):
        return _DropoutAddNorm.apply(  # type: ignore[no-any-return, no-untyped-call]
            x_RD, residual_RD, norm.weight, norm.bias, norm.eps, rows, key, probability
        )
    return plain_dropout_add_norm(x_RD, residual_RD, norm, rows, key, probability)


def plain_dropout_add_norm(
    x_RD: Tensor, residual_RD: Tensor, norm: nn.LayerNorm, rows: Rows, key: int, probability: float
) -> Tensor:
    """The plain twin of `dropout_add_norm`."""
    if probability > 0:
        x_RD = plain_dropout(x_RD, rows, key, probability)
    return layer_norm(residual_RD + x_RD, x_RD.shape[-1:], norm.weight, norm.bias, norm.eps)


class _DropoutAddNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_RD: Tensor,
        residual_RD: Tensor,
        weight_D: Tensor,
        bias_D: Tensor,
        epsilon: float,
        rows: Rows,
        key: int,
        probability: float,
    ) -> Tensor:
        x_RD, residual_RD = x_RD.detach().contiguous(), residual_RD.detach().contiguous()
        y_RD, normal_RD = torch.empty_like(x_RD), torch.empty_like(x_RD)
        inverse_R = x_RD.new_empty(len(x_RD))
        ctx.drawn = (
            rows.example_R.numpy(),
            rows.position_R.numpy(),
            u64(key),
            threshold_of(probability),
            f32(1 / (1 - probability)),
        )
        forward_kernel(
            x_RD.numpy(),
            residual_RD.numpy(),
            weight_D.detach().numpy(),
            bias_D.detach().numpy(),
            f32(epsilon),
            *ctx.drawn,
            y_RD.numpy(),
            normal_RD.numpy(),
            inverse_R.numpy(),
        )
        ctx.save_for_backward(normal_RD, inverse_R, weight_D)
        return y_RD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        normal_RD, inverse_R, weight_D = ctx.saved_tensors
        dy_RD = grads[0].contiguous()
        needs_x, needs_residual, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        dx_RD = dresidual_RD = None
        if needs_x or needs_residual:
            dresidual_RD, dx_RD = torch.empty_like(dy_RD), torch.empty_like(dy_RD)
            backward_kernel(
                dy_RD.numpy(),
                normal_RD.numpy(),
                inverse_R.numpy(),
                weight_D.detach().numpy(),
                *ctx.drawn,
                dresidual_RD.numpy(),
                dx_RD.numpy(),
            )
        dweight_D = (dy_RD * normal_RD).sum(0) if needs_weight else None
        dbias_D = dy_RD.sum(0) if needs_bias else None
        return dx_RD, dresidual_RD, dweight_D, dbias_D, None, None, None, None
