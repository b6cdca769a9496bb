"""Dropout of rows, forward and backward the same: kept elements are scaled, others are 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from peftlab.models.fused.generator import (
    LOW_32,
    channel_bits,
    keep_RC,
    row_bits,
    threshold_of,
    u32,
    u64,
)
from peftlab.models.fused.jit import kernel, prange, runs_kernels
from peftlab.models.fused.products import ZERO, Floats
from peftlab.models.fused.rows import Rows

Places = npt.NDArray[np.int64]


@kernel
def dropout_kernel(
    x_RC: Floats,
    example_R: Places,
    position_R: Places,
    key: np.uint64,
    threshold: np.uint32,
    scale: np.float32,
    out_RC: Floats,
) -> None:
    """out = x where kept, scaled; 0 elsewhere. `out` may be `x`."""
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
    example_R: Places,
    position_R: Places,
    key: np.uint64,
    threshold: np.uint32,
    scale: np.float32,
    out_RC: Floats,
) -> None:
    """out += x where kept, scaled."""
    num_rows, num_channels = x_RC.shape
    for r in prange(num_rows):
        bits = row_bits(key, example_R[r], position_R[r])
        low, high = u32(bits & u64(LOW_32)), u32(bits >> u64(32))
        for c in range(num_channels):
            kept = channel_bits(low, high, u32(c)) >= threshold
            out_RC[r, c] += x_RC[r, c] * scale if kept else ZERO


def active_probability(module: nn.Module | None) -> float:
    """How likely a dropout module drops an element now: 0 in eval mode and for any other."""
    return module.p if isinstance(module, nn.Dropout) and module.training else 0.0


def dropped(x_RC: Tensor, rows: Rows, key: int, probability: float) -> Tensor:
    """`x` after dropout, by the kernel; not differentiated."""
    out_RC = torch.empty_like(x_RC)
    dropout_kernel(*_arguments(x_RC, rows, key, probability), out_RC.numpy())
    return out_RC


def add_dropped(x_RC: Tensor, rows: Rows, key: int, probability: float, out_RC: Tensor) -> None:
    """Add `x` after dropout to `out`, by the kernel; not differentiated."""
    add_dropped_kernel(*_arguments(x_RC, rows, key, probability), out_RC.detach().numpy())


def dropout(x_RC: Tensor, rows: Rows, key: int, probability: float) -> Tensor:
    """`x` [R, C] after dropout, differentiable."""
    if runs_kernels(x_RC):
        return _Dropout.apply(x_RC, rows, key, probability)  # type: ignore[no-any-return, no-untyped-call]
    return plain_dropout(x_RC, rows, key, probability)


def plain_dropout(x_RC: Tensor, rows: Rows, key: int, probability: float) -> Tensor:
    """The plain twin of `dropout`."""
    channel_C = torch.arange(x_RC.shape[1], device=x_RC.device)
    keep = keep_RC(key, rows.example_R, rows.position_R, channel_C, probability)
    return x_RC * (keep.to(x_RC.dtype) / (1 - probability))


class _Dropout(Function):
    @staticmethod
    def forward(ctx: Any, x_RC: Tensor, rows: Rows, key: int, probability: float) -> Tensor:
        ctx.drawn = (rows, key, probability)
        return dropped(x_RC.detach().contiguous(), rows, key, probability)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, key, probability = ctx.drawn  # type: ignore[attr-defined]
        return dropped(grads[0].contiguous(), rows, key, probability), None, None, None


def _arguments(x_RC: Tensor, rows: Rows, key: int, probability: float) -> tuple[Any, ...]:
    return (
        x_RC.detach().numpy(),
        rows.example_R.numpy(),
        rows.position_R.numpy(),
        u64(key),
        threshold_of(probability),
        np.float32(1 / (1 - probability)),
    )
