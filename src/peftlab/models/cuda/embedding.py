"""Sums of what is looked up in some tables, as Triton kernels."""

from __future__ import annotations

from typing import Any, cast

import torch
import triton.language as tl
from torch import Tensor, nn

from peftlab.models.cuda.jit import Pointer, ceil_power_of_2, kernel, num_warps
from peftlab.models.fused.embedding import LookUpTable
from peftlab.models.fused.operation import Gradients, Node

IDS = 64
"""Ids that are looked through at a time."""


@kernel
def look_up_kernel(
    table: Pointer,
    ids: Pointer,
    out: Pointer,
    first: int,
    ADDS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """out = the row of the table at ids + first; or out += it. A program a row."""
    r, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    is_real = c < WIDTH
    found = tl.load(table + (tl.load(ids + r) + first) * WIDTH + c, mask=is_real, other=0.0)
    if ADDS:
        found += tl.load(out + r * WIDTH + c, mask=is_real, other=0.0)
    tl.store(out + r * WIDTH + c, found, mask=is_real)


@kernel
def scatter_kernel(
    x: Pointer,
    ids: Pointer,
    out: Pointer,
    num_rows: int,
    first: int,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    IDS: tl.constexpr,
) -> None:
    """out[v] = the sum of the rows of x whose id + first is v, in their order. A program a v."""
    v, c = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, num_rows, IDS):
        r = start + tl.arange(0, IDS)
        found = tl.load(ids + r, mask=r < num_rows, other=-1) + first
        is_here = (found == v) & (r < num_rows)
        if tl.sum(is_here.to(tl.int32), 0) > 0:
            for i in range(start, min(start + IDS, num_rows)):
                if tl.load(ids + i) + first == v:
                    row = x + tl.cast(i, tl.int64) * WIDTH + c
                    total += tl.load(row, mask=c < WIDTH, other=0.0).to(tl.float32)
    tl.store(out + v * WIDTH + c, total, mask=c < WIDTH)


class LookUpKernels:
    """The kernels of `LookUp`."""

    @staticmethod
    def forward(settings: tuple[LookUpTable, ...], *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the sum. Nothing is kept."""
        num_rows, width = settings[0].ids_R.shape[0], settings[0].weight.shape[1]
        out_RD = settings[0].weight.new_empty(num_rows, width)
        for number, table in enumerate(settings):
            look_up_kernel[(num_rows,)](
                table.weight,
                table.ids_R,
                out_RD,
                table.first,
                ADDS=number > 0,
                WIDTH=width,
                BLOCK=ceil_power_of_2(width),
                num_warps=num_warps(width),
            )
        return out_RD, None

    @staticmethod
    def backward(
        settings: tuple[LookUpTable, ...],
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add each row's gradient to the row of the table that it came from."""
        num_rows, width = gradient.shape
        for table in settings:
            if table.weight.requires_grad:
                found_VD = torch.empty_like(table.weight)
                scatter_kernel[(len(found_VD),)](
                    gradient,
                    table.ids_R,
                    found_VD,
                    num_rows,
                    table.first,
                    WIDTH=width,
                    BLOCK=ceil_power_of_2(width),
                    IDS=IDS,
                    num_warps=num_warps(width),
                )
                gradients[cast(nn.Parameter, table.weight)] = found_VD
