"""Dropout of rows as a Triton kernel, forward and backward the same."""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from peftlab.models.cuda.generator import dropped, row_bits
from peftlab.models.cuda.jit import Pointer, ceil_power_of_2, dropped_below, kernel, keys_on
from peftlab.models.fused.dropout import DropoutSettings
from peftlab.models.fused.operation import Gradients, Node
from peftlab.models.fused.rows import Rows

MOST_COLUMNS = 1024


@kernel
def dropout_kernel(
    x: Pointer,
    out: Pointer,
    examples: Pointer,
    positions: Pointer,
    key: Pointer,
    models: Pointer,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    SEVERAL: tl.constexpr,
) -> None:
    """out = x where kept, scaled; 0 elsewhere. A program takes BLOCK columns of a row.

    With SEVERAL models, `models` says whose each row is, and `key` has a key for each model.
    """
    r = tl.program_id(0).to(tl.int64)
    if SEVERAL:
        key += tl.load(models + r)
    c = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    low, high = row_bits(tl.load(key), tl.load(examples + r), tl.load(positions + r))
    x_C = tl.load(x + r * WIDTH + c, mask=c < WIDTH, other=0.0).to(tl.float32) * SCALE
    tl.store(out + r * WIDTH + c, dropped(x_C, low, high, c, THRESHOLD), mask=c < WIDTH)


def dropout(
    x_RC: Tensor, rows: Rows, probability: float, key: Tensor, model_R: Tensor | None = None
) -> Tensor:
    """Return x after dropout by the key, or by that of each row's model; not differentiated."""
    x_RC, out_RC = x_RC.contiguous(), torch.empty_like(x_RC)
    num_rows, width = x_RC.shape
    block = min(MOST_COLUMNS, ceil_power_of_2(width))
    dropout_kernel[(num_rows, -(-width // block))](
        x_RC,
        out_RC,
        rows.example_R,
        rows.position_R,
        key,
        rows.example_R if model_R is None else model_R,
        WIDTH=width,
        BLOCK=block,
        THRESHOLD=dropped_below(probability),
        SCALE=1 / (1 - probability),
        SEVERAL=model_R is not None,
    )
    return out_RC


class DropoutKernels:
    """The kernels of `Dropout`."""

    @staticmethod
    def forward(settings: DropoutSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return x after dropout. Nothing is kept: the backward pass draws the same mask."""
        return _dropped(settings, inputs[0]), None

    @staticmethod
    def backward(
        settings: DropoutSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradient of x."""
        inputs[0].add(_dropped(settings, gradient))


def _dropped(settings: DropoutSettings, x_RC: Tensor) -> Tensor:
    key = keys_on(x_RC.device, settings.key)
    return dropout(x_RC, settings.rows, settings.probability, key)
