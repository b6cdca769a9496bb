"""The LayerNorm of a residual sum whose added part is dropped out, in one pass over the rows.

y = LayerNorm(residual + dropout(x)). The normalised rows and 1 / standard deviation of each are
kept for the backward pass, as derived by Ba et al. 2016 (arXiv 1607.06450).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from peftlab.models.fused.dropout import plain_dropout
from peftlab.models.fused.generator import (
    LOW_32,
    channel_bits,
    row_bits,
    signed,
    threshold_of,
    u32,
    u64,
)
from peftlab.models.fused.jit import kernel, prange
from peftlab.models.fused.launch import (
    EntryPoint,
    Floats,
    Integers,
    integers,
    launch,
    matrix,
    vector,
)
from peftlab.models.fused.math32 import ZERO
from peftlab.models.fused.operation import Gradients, Node, Operation
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.sums import column_sums

f32 = np.float32


@kernel
def forward_kernel(
    x_RD: Floats,
    residual_RD: Floats,
    weight_D: Floats,
    bias_D: Floats,
    epsilon: np.float32,
    example_R: Integers,
    position_R: Integers,
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
    example_R: Integers,
    position_R: Integers,
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


class _Forward(NamedTuple):
    x: Tensor
    residual: Tensor
    weight: Tensor
    bias: Tensor
    examples: Tensor
    positions: Tensor
    y: Tensor
    normal: Tensor
    inverse: Tensor
    rows: int
    width: int
    key: int
    epsilon: float
    scale: float
    threshold: float  # a whole number, as in dropout.py


class _Backward(NamedTuple):
    dy: Tensor
    normal: Tensor
    inverse: Tensor
    weight: Tensor
    examples: Tensor
    positions: Tensor
    dresidual: Tensor
    dx: Tensor
    rows: int
    width: int
    key: int
    scale: float
    threshold: float


@EntryPoint
def _forward(n: _Forward) -> None:
    forward_kernel(
        matrix(n.x, n.rows, n.width),
        matrix(n.residual, n.rows, n.width),
        vector(n.weight, n.width),
        vector(n.bias, n.width),
        f32(n.epsilon),
        integers(n.examples, n.rows),
        integers(n.positions, n.rows),
        u64(n.key),
        u32(n.threshold),
        f32(n.scale),
        matrix(n.y, n.rows, n.width),
        matrix(n.normal, n.rows, n.width),
        vector(n.inverse, n.rows),
    )


@EntryPoint
def _backward(n: _Backward) -> None:
    backward_kernel(
        matrix(n.dy, n.rows, n.width),
        matrix(n.normal, n.rows, n.width),
        vector(n.inverse, n.rows),
        vector(n.weight, n.width),
        integers(n.examples, n.rows),
        integers(n.positions, n.rows),
        u64(n.key),
        u32(n.threshold),
        f32(n.scale),
        matrix(n.dresidual, n.rows, n.width),
        matrix(n.dx, n.rows, n.width),
    )


def is_plain_norm(module: nn.Module) -> bool:
    """Return whether a module is LayerNorm itself, with weight and bias."""
    return type(module) is nn.LayerNorm and module.bias is not None


@dataclass(frozen=True, kw_only=True)
class NormSettings:
    """The LayerNorm, the origin of the rows, and the dropout's key and probability."""

    norm: nn.LayerNorm
    rows: Rows
    key: int
    probability: float


class DropoutAddNorm(Operation):
    """The operation norm(residual + dropout(x)) on inputs [R, D]; probability 0 drops nothing."""

    @staticmethod
    def parameters(settings: NormSettings) -> tuple[nn.Parameter, ...]:
        """Return the weight and the bias of the norm."""
        return (settings.norm.weight, settings.norm.bias)

    @staticmethod
    def forward(settings: NormSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the norm; normalised rows and 1 / standard deviation are kept."""
        x_RD, residual_RD = inputs
        norm, rows, probability = settings.norm, settings.rows, settings.probability
        y_RD, normal_RD = torch.empty_like(x_RD), torch.empty_like(x_RD)
        inverse_R = x_RD.new_empty(x_RD.shape[0])
        forward = _Forward(
            x=x_RD,
            residual=residual_RD,
            weight=norm.weight,
            bias=norm.bias,
            examples=rows.example_R,
            positions=rows.position_R,
            y=y_RD,
            normal=normal_RD,
            inverse=inverse_R,
            rows=x_RD.shape[0],
            width=x_RD.shape[1],
            key=signed(settings.key),
            epsilon=norm.eps,
            scale=1 / (1 - probability),
            threshold=threshold_of(probability),
        )
        launch(_forward, forward)
        return y_RD, (normal_RD, inverse_R)

    @staticmethod
    def backward(
        settings: NormSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of both inputs, and of weight and bias."""
        x, residual = inputs
        weight, bias = settings.norm.weight, settings.norm.bias
        normal_RD, inverse_R = kept
        if x.is_needed or residual.is_needed:
            dx_RD, dresidual_RD = torch.empty_like(gradient), torch.empty_like(gradient)
            rows, probability = settings.rows, settings.probability
            backward = _Backward(
                dy=gradient,
                normal=normal_RD,
                inverse=inverse_R,
                weight=weight,
                examples=rows.example_R,
                positions=rows.position_R,
                dresidual=dresidual_RD,
                dx=dx_RD,
                rows=gradient.shape[0],
                width=gradient.shape[1],
                key=signed(settings.key),
                scale=1 / (1 - probability),
                threshold=threshold_of(probability),
            )
            launch(_backward, backward)
            x.add(dx_RD)
            residual.add(dresidual_RD)
        if weight.requires_grad:
            gradients[weight] = column_sums(gradient, normal_RD)
        if bias.requires_grad:
            gradients[bias] = column_sums(gradient)

    @staticmethod
    def plain(settings: NormSettings, *inputs: Tensor) -> Tensor:
        """Return the LayerNorm of the sum, by torch."""
        x_RD, residual_RD = inputs
        if settings.probability > 0:
            x_RD = plain_dropout(x_RD, settings.rows, settings.key, settings.probability)
        norm = settings.norm
        return layer_norm(residual_RD + x_RD, x_RD.shape[-1:], norm.weight, norm.bias, norm.eps)
