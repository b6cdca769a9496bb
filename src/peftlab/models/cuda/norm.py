"""LayerNorm of a residual sum, the added part dropped out, as Triton kernels: a program a row."""

from __future__ import annotations

from dataclasses import dataclass
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
from peftlab.models.fused.rows import Rows

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
    models: Pointer,
    places: Pointer,
    EPSILON: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    SEVERAL: tl.constexpr,
) -> None:
    """Fill y, the normalised rows and 1 / standard deviation; threshold 0 drops nothing.

    With SEVERAL models, `models` says whose each row is, `key` has a key for each model, and
    `places` says where each one's weight and bias are, counted from `weight` and `bias`.
    """
    r, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    if SEVERAL:
        model = tl.load(models + r)
        key += model
        weight += tl.load(places + 2 * model)
        bias += tl.load(places + 2 * model + 1)
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
    models: Pointer,
    places: Pointer,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    SEVERAL: tl.constexpr,
) -> None:
    """Fill the gradients of the residual and of x."""
    r, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    if SEVERAL:
        model = tl.load(models + r)
        key += model
        weight += tl.load(places + 2 * model)
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
    bounds: Pointer,
    num_rows: int,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SEVERAL: tl.constexpr,
) -> None:
    """Fill the gradients of weight and bias: a program sums COLUMNS of them over all rows.

    With SEVERAL models, it does so over the rows of one: `bounds` says where each one's begin.
    """
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    begin, end = 0, num_rows
    if SEVERAL:
        model = tl.program_id(1)
        begin, end = tl.load(bounds + model).to(tl.int32), tl.load(bounds + model + 1).to(tl.int32)
        dweight += model * WIDTH
        dbias += model * WIDTH
    of_weight = tl.zeros([COLUMNS], tl.float32)
    of_bias = tl.zeros([COLUMNS], tl.float32)
    for first in range(begin, end, ROWS):
        r = first + tl.arange(0, ROWS)
        at = r.to(tl.int64)[:, None] * WIDTH + c[None, :]
        is_real = (r < end)[:, None] & (c < WIDTH)[None, :]
        g = tl.load(dy + at, mask=is_real, other=0.0).to(tl.float32)
        of_weight += tl.sum(g * tl.load(normal + at, mask=is_real, other=0.0).to(tl.float32), 0)
        of_bias += tl.sum(g, 0)
    tl.store(dweight + c, of_weight, mask=c < WIDTH)
    tl.store(dbias + c, of_bias, mask=c < WIDTH)


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A LayerNorm behind dropout as the kernels take it.

    Of several models `weight` and `bias` are the first one's, and `places_M2` says where each
    one's are, in elements from there; `model_R` says whose each row is, and `key` has a key for
    each model.
    """

    weight: Tensor
    bias: Tensor
    epsilon: float
    rows: Rows
    key: Tensor
    probability: float
    model_R: Tensor | None = None
    places_M2: Tensor | None = None

    @property
    def _where(self) -> tuple[Tensor, ...]:
        """Whose and which the rows are, by which masks are drawn and parameters found."""
        rows = self.rows
        several = (rows.example_R, rows.example_R)
        if self.model_R is not None and self.places_M2 is not None:
            several = (self.model_R, self.places_M2)
        return (rows.example_R, rows.position_R, self.key, *several)

    def _constants(self, width: int) -> dict[str, Any]:
        return {
            "WIDTH": width,
            "BLOCK": ceil_power_of_2(width),
            "THRESHOLD": dropped_below(self.probability),
            "SCALE": 1 / (1 - self.probability),
            "SEVERAL": self.model_R is not None,
            "num_warps": num_warps(width),
        }

    def forward(self, x_RD: Tensor, residual_RD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y, the normalised rows, and 1 / standard deviation."""
        num_rows, width = x_RD.shape
        y_RD, normal_RD = torch.empty_like(x_RD), torch.empty_like(x_RD)
        inverse_R = torch.empty(num_rows, dtype=torch.float32, device=x_RD.device)
        forward_kernel[(num_rows,)](
            x_RD,
            residual_RD,
            self.weight,
            self.bias,
            y_RD,
            normal_RD,
            inverse_R,
            *self._where,
            EPSILON=self.epsilon,
            **self._constants(width),
        )
        return y_RD, normal_RD, inverse_R

    def backward(
        self, dy_RD: Tensor, normal_RD: Tensor, inverse_R: Tensor, inputs: tuple[Node, ...]
    ) -> None:
        """Add the gradients of x and of the residual, if either is needed."""
        x, residual = inputs
        if not (x.is_needed or residual.is_needed):
            return
        num_rows, width = dy_RD.shape
        dx_RD, dresidual_RD = torch.empty_like(dy_RD), torch.empty_like(dy_RD)
        backward_kernel[(num_rows,)](
            dy_RD,
            normal_RD,
            inverse_R,
            self.weight,
            dresidual_RD,
            dx_RD,
            *self._where,
            **self._constants(width),
        )
        x.add(dx_RD)
        residual.add(dresidual_RD)


def weight_gradients(
    dy_RD: Tensor, normal_RD: Tensor, like: Tensor, bounds: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight and bias, [D]; [M, D] of models whose rows have `bounds`."""
    num_rows, width = dy_RD.shape
    shape = (width,) if bounds is None else (len(bounds) - 1, width)
    dweight, dbias = like.new_empty(shape), like.new_empty(shape)
    grid = (-(-width // COLUMNS), 1 if bounds is None else shape[0])
    weights_kernel[grid](
        dy_RD,
        normal_RD,
        dweight,
        dbias,
        dweight if bounds is None else bounds,
        num_rows,
        WIDTH=width,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        SEVERAL=bounds is not None,
    )
    return dweight, dbias


class NormKernels:
    """The kernels of `DropoutAddNorm`."""

    @staticmethod
    def forward(settings: NormSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return y. Normalised rows, 1 / standard deviation and the dropout's key are kept."""
        norm = Norm(
            weight=settings.norm.weight,
            bias=settings.norm.bias,
            epsilon=settings.norm.eps,
            rows=settings.rows,
            key=keys_on(inputs[0].device, settings.key),
            probability=settings.probability,
        )
        y_RD, normal_RD, inverse_R = norm.forward(*inputs)
        return y_RD, (norm, normal_RD, inverse_R)

    @staticmethod
    def backward(
        settings: NormSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of both inputs, and of weight and bias."""
        norm, normal_RD, inverse_R = kept
        weight, bias = settings.norm.weight, settings.norm.bias
        norm.backward(gradient, normal_RD, inverse_R, inputs)
        if weight.requires_grad or bias.requires_grad:
            found = weight_gradients(gradient, normal_RD, like=weight.detach())
            for parameter, found_D in zip((weight, bias), found, strict=True):
                if parameter.requires_grad:
                    gradients[parameter] = found_D
