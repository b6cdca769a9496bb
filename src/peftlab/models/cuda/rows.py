"""Taking rows as Triton kernels: a program a row."""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from peftlab.models.cuda.jit import Pointer, ceil_power_of_2, kernel
from peftlab.models.fused.operation import Gradients, Node


@kernel
def take_kernel(
    x: Pointer, places: Pointer, out: Pointer, WIDTH: tl.constexpr, BLOCK: tl.constexpr
) -> None:
    """out = the rows of x at these places."""
    b, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    found = tl.load(x + tl.load(places + b) * WIDTH + c, mask=c < WIDTH, other=0.0)
    tl.store(out + b * WIDTH + c, found, mask=c < WIDTH)


@kernel
def add_kernel(
    x: Pointer, places: Pointer, out: Pointer, WIDTH: tl.constexpr, BLOCK: tl.constexpr
) -> None:
    """The rows of out at these places, each at most once, += x."""
    b, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    at = out + tl.load(places + b) * WIDTH + c
    added = tl.load(x + b * WIDTH + c, mask=c < WIDTH, other=0.0)
    tl.store(at, tl.load(at, mask=c < WIDTH, other=0.0) + added, mask=c < WIDTH)


class TakeRowsKernels:
    """The kernels of `TakeRows`."""

    @staticmethod
    def forward(settings: Tensor, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return a copy of the rows."""
        (x_TD,) = inputs
        out_BD = x_TD.new_empty(settings.shape[0], x_TD.shape[1])
        num_rows, width = out_BD.shape
        take_kernel[(num_rows,)](x_TD, settings, out_BD, width, ceil_power_of_2(width))
        return out_BD, None

    @staticmethod
    def backward(
        settings: Tensor,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add to the gradients of the rows that were taken."""
        (x,) = inputs
        if x.gradient is None:
            x.gradient = torch.zeros_like(x.tensor)
        num_rows, width = gradient.shape
        add_kernel[(num_rows,)](gradient, settings, x.gradient, width, ceil_power_of_2(width))
