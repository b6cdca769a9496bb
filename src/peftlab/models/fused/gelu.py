"""GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), exact to single precision.

gelu(x) = x * Phi(x), where Phi is the normal distribution. One exponential per element gives both
Phi, by formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7), and its derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu as plain_gelu
from transformers.activations import GELUActivation

from peftlab.models.fused.jit import inline, kernel, part, prange
from peftlab.models.fused.launch import EntryPoint, Floats, launch, matrix
from peftlab.models.fused.math32 import exponential
from peftlab.models.fused.operation import Gradients, Node, Operation

f32 = np.float32
ONE, HALF = f32(1.0), f32(0.5)
SQRT_HALF = f32(0.7071067811865476)
INVERSE_SQRT_TAU = f32(0.3989422804014327)


@inline
def _normal(x: np.float32, e: np.float32) -> np.float32:
    """Return Phi(x), given e = exp(-x * x / 2)."""
    t = ONE / (ONE + f32(0.3275911) * abs(x) * SQRT_HALF)
    p = f32(1.061405429)
    p = p * t + f32(-1.453152027)
    p = p * t + f32(1.421413741)
    p = p * t + f32(-0.284496736)
    p = p * t + f32(0.254829592)
    tail = HALF * p * t * e
    return tail if x < f32(0.0) else ONE - tail


@part
def _row(x_F: Floats, out_F: Floats) -> None:
    for c in range(len(x_F)):
        x = x_F[c]
        out_F[c] = x * _normal(x, exponential(-HALF * x * x))


@part
def _row_with_slope(x_F: Floats, out_F: Floats, slope_F: Floats) -> None:
    for c in range(len(x_F)):
        x = x_F[c]
        e = exponential(-HALF * x * x)
        normal = _normal(x, e)
        out_F[c] = x * normal
        slope_F[c] = normal + x * e * INVERSE_SQRT_TAU


@part
def _multiply_row(slope_F: Floats, dy_F: Floats) -> None:
    for c in range(len(dy_F)):
        slope_F[c] *= dy_F[c]


@kernel
def forward_kernel(x_RF: Floats, out_RF: Floats, has_slope: bool, slope_RF: Floats) -> None:
    """Set out = gelu(x), and slope = gelu'(x) if that is wanted."""
    for r in prange(len(x_RF)):
        if has_slope:
            _row_with_slope(x_RF[r], out_RF[r], slope_RF[r])
        else:
            _row(x_RF[r], out_RF[r])


@kernel
def backward_kernel(dy_RF: Floats, slope_RF: Floats) -> None:
    """Compute slope *= dy, which is the gradient of x."""
    for r in prange(len(dy_RF)):
        _multiply_row(slope_RF[r], dy_RF[r])


class _Forward(NamedTuple):
    x: Tensor
    out: Tensor
    slope: Tensor
    rows: int
    width: int
    has_slope: bool


class _Backward(NamedTuple):
    dy: Tensor
    slope: Tensor
    rows: int
    width: int


@EntryPoint
def _forward(n: _Forward) -> None:
    x, out = matrix(n.x, n.rows, n.width), matrix(n.out, n.rows, n.width)
    forward_kernel(x, out, n.has_slope != 0, matrix(n.slope, n.rows, n.width))


@EntryPoint
def _backward(n: _Backward) -> None:
    backward_kernel(matrix(n.dy, n.rows, n.width), matrix(n.slope, n.rows, n.width))


@dataclass(frozen=True)
class GeluSettings:
    """The settings of GELU: whether a backward pass will follow."""

    has_backward: bool


class Gelu(Operation):
    """The operation that returns gelu(x), [R, F]."""

    @staticmethod
    def parameters(settings: GeluSettings) -> tuple[nn.Parameter, ...]:
        """Return no parameters."""
        return ()

    @staticmethod
    def forward(settings: GeluSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return gelu(x); its slope is kept, which costs little beside the exponential."""
        (x_RF,) = inputs
        out_RF = torch.empty_like(x_RF)
        slope_RF = torch.empty_like(x_RF) if settings.has_backward else x_RF
        rows, width = x_RF.shape
        launch(_forward, _Forward(x_RF, out_RF, slope_RF, rows, width, settings.has_backward))
        return out_RF, slope_RF

    @staticmethod
    def backward(
        settings: GeluSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Compute the gradient of x, which takes the place of the slope."""
        launch(_backward, _Backward(gradient, kept, *gradient.shape))
        inputs[0].add(kept)

    @staticmethod
    def plain(settings: GeluSettings, *inputs: Tensor) -> Tensor:
        """Return gelu(x) by torch."""
        return plain_gelu(inputs[0])


def is_exact_gelu(activation: Any) -> bool:
    """Return whether an activation of transformers is the GELU of this module."""
    return type(activation) is GELUActivation and activation.act is plain_gelu
