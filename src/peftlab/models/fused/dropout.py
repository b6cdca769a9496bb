"""The dropout of rows, the same forward and backward: kept elements are scaled, others are 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from peftlab.models.fused.generator import (
    LOW_32,
    channel_bits,
    keep_RC,
    row_bits,
    signed,
    threshold_of,
    u32,
    u64,
)
from peftlab.models.fused.jit import kernel, prange
from peftlab.models.fused.launch import EntryPoint, Floats, Integers, integers, launch, matrix
from peftlab.models.fused.math32 import ZERO
from peftlab.models.fused.operation import Gradients, Node, Operation
from peftlab.models.fused.rows import Rows

f32 = np.float32


@kernel
def dropout_kernel(
    x_RC: Floats,
    example_R: Integers,
    position_R: Integers,
    key: np.uint64,
    threshold: np.uint32,
    scale: np.float32,
    out_RC: Floats,
) -> None:
    """Set out = scale * x for kept elements, and 0 for others. `out` may be `x`."""
    num_rows, num_channels = x_RC.shape
    for r in prange(num_rows):
        bits = row_bits(key, example_R[r], position_R[r])
        low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
        for c in range(num_channels):
            kept = channel_bits(low, high, u32(c)) >= threshold
            out_RC[r, c] = x_RC[r, c] * scale if kept else ZERO


@kernel
def add_dropped_kernel(
    x_RC: Floats,
    example_R: Integers,
    position_R: Integers,
    key: np.uint64,
    threshold: np.uint32,
    scale: np.float32,
    out_RC: Floats,
) -> None:
    """Compute out += scale * x for kept elements."""
    num_rows, num_channels = x_RC.shape
    for r in prange(num_rows):
        bits = row_bits(key, example_R[r], position_R[r])
        low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
        for c in range(num_channels):
            kept = channel_bits(low, high, u32(c)) >= threshold
            out_RC[r, c] += x_RC[r, c] * scale if kept else ZERO


class _Dropped(NamedTuple):
    x: Tensor
    examples: Tensor
    positions: Tensor
    out: Tensor
    rows: int
    width: int
    key: int
    scale: float
    threshold: float  # a whole number; as an integer it would be too large for a recording


@EntryPoint
def _dropout(n: _Dropped) -> None:
    dropout_kernel(
        matrix(n.x, n.rows, n.width),
        integers(n.examples, n.rows),
        integers(n.positions, n.rows),
        u64(n.key),
        u32(n.threshold),
        f32(n.scale),
        matrix(n.out, n.rows, n.width),
    )


@EntryPoint
def _dropped_addition(n: _Dropped) -> None:
    add_dropped_kernel(
        matrix(n.x, n.rows, n.width),
        integers(n.examples, n.rows),
        integers(n.positions, n.rows),
        u64(n.key),
        u32(n.threshold),
        f32(n.scale),
        matrix(n.out, n.rows, n.width),
    )


def active_probability(module: nn.Module | None) -> float:
    """Return a dropout module's current probability: 0 in eval mode and for other modules."""
    return module.p if isinstance(module, nn.Dropout) and module.training else 0.0


def dropped(x_RC: Tensor, rows: Rows, key: int, probability: float) -> Tensor:
    """Return x after dropout, by the kernel; not differentiated."""
    out_RC = torch.empty_like(x_RC)
    launch(_dropout, _fields(x_RC, rows, key, probability, out_RC))
    return out_RC


def add_dropped(x_RC: Tensor, rows: Rows, key: int, probability: float, out_RC: Tensor) -> None:
    """Add x after dropout to out, by the kernel; not differentiated."""
    launch(_dropped_addition, _fields(x_RC, rows, key, probability, out_RC))


def _fields(x_RC: Tensor, rows: Rows, key: int, probability: float, out_RC: Tensor) -> _Dropped:
    return _Dropped(
        x=x_RC,
        examples=rows.example_R,
        positions=rows.position_R,
        out=out_RC,
        rows=x_RC.shape[0],
        width=x_RC.shape[1],
        key=signed(key),
        scale=1 / (1 - probability),
        threshold=threshold_of(probability),
    )


def plain_dropout(x_RC: Tensor, rows: Rows, key: int, probability: float) -> Tensor:
    """Return x [R, C] after dropout, by torch; differentiable."""
    channel_C = torch.arange(x_RC.shape[1], device=x_RC.device)
    keep = keep_RC(key, rows.example_R, rows.position_R, channel_C, probability)
    return x_RC * (keep.to(x_RC.dtype) / (1 - probability))


@dataclass(frozen=True, kw_only=True)
class DropoutSettings:
    """The origin of the rows, the key of the site, and the dropout probability."""

    rows: Rows
    key: int
    probability: float


class Dropout(Operation):
    """The operation that returns x [R, C] after dropout."""

    @staticmethod
    def parameters(settings: DropoutSettings) -> tuple[nn.Parameter, ...]:
        """Return no parameters."""
        return ()

    @staticmethod
    def forward(settings: DropoutSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return x after dropout; nothing is kept, as the backward pass draws the same mask."""
        return dropped(inputs[0], settings.rows, settings.key, settings.probability), None

    @staticmethod
    def backward(
        settings: DropoutSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Compute the gradient of x."""
        inputs[0].add(dropped(gradient, settings.rows, settings.key, settings.probability))

    @staticmethod
    def plain(settings: DropoutSettings, *inputs: Tensor) -> Tensor:
        """Return the product with the mask, by torch."""
        return plain_dropout(inputs[0], settings.rows, settings.key, settings.probability)
