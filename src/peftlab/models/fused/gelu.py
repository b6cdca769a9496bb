"""GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), exact to single precision.

x * Phi(x), where Phi is the normal distribution. One exponential an element gives both Phi, by
formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7), and its derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu as plain_gelu
from transformers.activations import GELUActivation

from peftlab.models.fused.jit import inline, kernel, part, prange
from peftlab.models.fused.launch import Entry, Floats, Integers, Reals, launch, matrix
from peftlab.models.fused.math32 import exponential
from peftlab.models.fused.tape import Gradients, Node, Operation

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


@Entry
def _forward_entry(n: Integers, f: Reals) -> None:
    forward_kernel(matrix(n[0], n[2], n[3]), matrix(n[1], n[2], n[3]))


@Entry
def _backward_entry(n: Integers, f: Reals) -> None:
    backward_kernel(matrix(n[0], n[3], n[4]), matrix(n[1], n[3], n[4]), matrix(n[2], n[3], n[4]))


class Gelu(Operation):
    """gelu(x) [R, F]; without settings."""

    @staticmethod
    def parameters(settings: None) -> tuple[nn.Parameter, ...]:
        """None."""
        return ()

    @staticmethod
    def forward(settings: None, *inputs: Tensor) -> tuple[Tensor, Any]:
        """x is kept."""
        (x_RF,) = inputs
        out_RF = torch.empty_like(x_RF)
        launch(_forward_entry, (x_RF, out_RF), x_RF.shape)
        return out_RF, x_RF

    @staticmethod
    def backward(
        settings: None, kept: Any, gradient: Tensor, inputs: tuple[Node, ...], gradients: Gradients
    ) -> None:
        """The gradient of x."""
        dx_RF = torch.empty_like(kept)
        launch(_backward_entry, (gradient, kept, dx_RF), kept.shape)
        inputs[0].add(dx_RF)

    @staticmethod
    def plain(settings: None, *inputs: Tensor) -> Tensor:
        """torch's."""
        return plain_gelu(inputs[0])


def is_exact_gelu(activation: Any) -> bool:
    """Whether an activation of transformers is the GELU computed here."""
    return type(activation) is GELUActivation and activation.act is plain_gelu
