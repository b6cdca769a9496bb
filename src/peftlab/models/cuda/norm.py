"""LayerNorm of a residual sum, the added part dropped out, as Triton kernels: a program a row."""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from peftlab.models.cuda.generator import dropped, row_bits
from peftlab.models.cuda.jit import (
    Pointer,
    ceil_power_of_2,
    dropped_below,
    kernel,
    keys_on,
    num_warps,
)
from peftlab.models.fused.norm import NormSettings
from peftlab.models.fused.operation import Gradients, Node

ROWS, COLUMNS = 32, 64
"""The block that a program of the weights' gradients sums at a time."""


@kernel
def forward_kernel(
    x: Pointer,
    residual: Pointer,
    weight: Pointer,
    bias: Pointer,
    y: Pointer,
    normal: Pointer,
    inverse: Pointer,
    examples: Pointer,
    positions: Pointer,
    key: Pointer,
    EPSILON: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
) -> None:
    """Fill y, the normalised rows and 1 / standard deviation; threshold 0 drops nothing."""
    r, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    is_real = c < WIDTH
    z = tl.load(x + r * WIDTH + c, mask=is_real, other=0.0).to(tl.float32)
    if THRESHOLD > 0:
        low, high = row_bits(tl.load(key), tl.load(examples + r), tl.load(positions + r))
        z = dropped(z * SCALE, low, high, c, THRESHOLD)
    z += tl.load(residual + r * WIDTH + c, mask=is_real, other=0.0).to(tl.float32)
    centred = tl.where(is_real, z - tl.sum(z, 0) / WIDTH, 0.0)
    one_by_deviation = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / WIDTH + EPSILON)
    n = centred * one_by_deviation
    w = tl.load(weight + c, mask=is_real, other=0.0).to(tl.float32)
    b = tl.load(bias + c, mask=is_real, other=0.0).to(tl.float32)
    tl.store(inverse + r, one_by_deviation)
    tl.store(normal + r * WIDTH + c, n, mask=is_real)
    tl.store(y + r * WIDTH + c, n * w + b, mask=is_real)


@kernel
def backward_kernel(
    dy: Pointer,
    normal: Pointer,
    inverse: Pointer,
    weight: Pointer,
    dresidual: Pointer,
    dx: Pointer,
    examples: Pointer,
    positions: Pointer,
    key: Pointer,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
) -> None:
    """Fill the gradients of the residual and of x."""
    r, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    is_real = c < WIDTH
    n = tl.load(normal + r * WIDTH + c, mask=is_real, other=0.0).to(tl.float32)
    g = tl.load(dy + r * WIDTH + c, mask=is_real, other=0.0).to(tl.float32)
    g *= tl.load(weight + c, mask=is_real, other=0.0).to(tl.float32)
    dz = g - tl.sum(g, 0) / WIDTH - n * (tl.sum(g * n, 0) / WIDTH)
    dz *= tl.load(inverse + r)
    tl.store(dresidual + r * WIDTH + c, dz, mask=is_real)
    if THRESHOLD > 0:
        low, high = row_bits(tl.load(key), tl.load(examples + r), tl.load(positions + r))
        dz = dropped(dz * SCALE, low, high, c, THRESHOLD)
    tl.store(dx + r * WIDTH + c, dz, mask=is_real)


@kernel
def weights_kernel(
    dy: Pointer,
    normal: Pointer,
    dweight: Pointer,
    dbias: Pointer,
    num_rows: int,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Fill the gradients of weight and bias: a program sums COLUMNS of them over all rows."""
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    of_weight = tl.zeros([COLUMNS], tl.float32)
    of_bias = tl.zeros([COLUMNS], tl.float32)
    for first in range(0, num_rows, ROWS):
        r = first + tl.arange(0, ROWS)
        at = r.to(tl.int64)[:, None] * WIDTH + c[None, :]
        is_real = (r < num_rows)[:, None] & (c < WIDTH)[None, :]
        g = tl.load(dy + at, mask=is_real, other=0.0).to(tl.float32)
        of_weight += tl.sum(g * tl.load(normal + at, mask=is_real, other=0.0).to(tl.float32), 0)
        of_bias += tl.sum(g, 0)
    tl.store(dweight + c, of_weight, mask=c < WIDTH)
    tl.store(dbias + c, of_bias, mask=c < WIDTH)


class NormKernels:
    """The kernels of `DropoutAddNorm`."""

    @staticmethod
    def forward(settings: NormSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return y. Normalised rows, 1 / standard deviation and the dropout's key are kept."""
        x_RD, residual_RD = inputs
        norm, rows, probability = settings.norm, settings.rows, settings.probability
        (num_rows, width), key = x_RD.shape, keys_on(x_RD.device, settings.key)
        y_RD, normal_RD = torch.empty_like(x_RD), torch.empty_like(x_RD)
        inverse_R = torch.empty(num_rows, dtype=torch.float32, device=x_RD.device)
        forward_kernel[(num_rows,)](
            x_RD,
            residual_RD,
            norm.weight,
            norm.bias,
            y_RD,
            normal_RD,
            inverse_R,
            rows.example_R,
            rows.position_R,
            key,
            EPSILON=norm.eps,
            WIDTH=width,
            BLOCK=ceil_power_of_2(width),
            THRESHOLD=dropped_below(probability),
            SCALE=1 / (1 - probability),
            num_warps=num_warps(width),
        )
        return y_RD, (normal_RD, inverse_R, key)

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
        norm, rows, probability = settings.norm, settings.rows, settings.probability
        normal_RD, inverse_R, key = kept
        num_rows, width = gradient.shape
        if x.is_needed or residual.is_needed:
            dx_RD, dresidual_RD = torch.empty_like(gradient), torch.empty_like(gradient)
            backward_kernel[(num_rows,)](
                gradient,
                normal_RD,
                inverse_R,
                norm.weight,
                dresidual_RD,
                dx_RD,
                rows.example_R,
                rows.position_R,
                key,
                WIDTH=width,
                BLOCK=ceil_power_of_2(width),
                THRESHOLD=dropped_below(probability),
                SCALE=1 / (1 - probability),
                num_warps=num_warps(width),
            )
            x.add(dx_RD)
            residual.add(dresidual_RD)
        if norm.weight.requires_grad or norm.bias.requires_grad:
            dweight_D, dbias_D = torch.empty_like(norm.weight), torch.empty_like(norm.bias)
            weights_kernel[(-(-width // COLUMNS),)](
                gradient, normal_RD, dweight_D, dbias_D, num_rows, width, ROWS, COLUMNS
            )
            for parameter, found_D in ((norm.weight, dweight_D), (norm.bias, dbias_D)):
                if parameter.requires_grad:
                    gradients[parameter] = found_D
