"""Linear layers that several models share, frozen, each with biases and adapters of its own.

Legend: R rows of all models, D columns of x, W columns of all layers' outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peftlab.models.fused.linear import (
    Joined,
    LinearSettings,
    add_adapters,
    add_parts,
    add_product,
    differentiate_adapters,
    plain_updates,
    stacked,
)
from peftlab.models.fused.matmul import add_matmul, linear
from peftlab.models.fused.operation import Gradients, Node, Operation
from peftlab.models.fused.sums import column_sums


class SharedLinear(Operation):
    """`JoinedLinear` of several models with the same frozen weights, of each for its own rows.

    x [R, D] has the rows of the first model, then those of the second, and so on; settings are one
    `LinearSettings` for each. The weights multiply all rows at once; biases and adapters are each
    model's own.
    """

    @staticmethod
    def parameters(settings: Sequence[LinearSettings]) -> tuple[nn.Parameter, ...]:
        """Weights of the first model, then biases, and A and B of each adapter, of all."""
        of_each = (one.joined.parameters[len(one.joined.weights) :] for one in settings)
        return (*settings[0].joined.weights, *chain.from_iterable(of_each))

    @staticmethod
    def forward(settings: Sequence[LinearSettings], *inputs: Tensor) -> tuple[Tensor, Any]:
        """Kept is what adapters read."""
        (x_RD,) = inputs
        weight_WD, ranges = stacked(settings[0].joined.weights), row_ranges(settings)
        if settings[0].joined.biases:
            y_RW = x_RD.new_empty(len(x_RD), len(weight_WD))
            for one, rows in zip(settings, ranges, strict=True):
                y_RW[rows] = stacked(one.joined.biases)
            add_matmul(y_RW, x_RD, weight_WD.T)  # in the order in which `linear` sums
        else:
            y_RW = linear(x_RD, weight_WD, None)
        kept = [
            add_adapters(one, x_RD[rows], y_RW[rows])
            for one, rows in zip(settings, ranges, strict=True)
        ]
        return y_RW, kept

    @staticmethod
    def backward(
        settings: Sequence[LinearSettings],
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Gradients of x, and of biases and adapters that are trained."""
        (x,), dy_RW = inputs, gradient
        if x.is_needed:
            add_product(x, dy_RW, stacked(settings[0].joined.weights))
        dx_RD = x.gradient if x.is_needed else None
        for one, kept_of_one, rows in zip(settings, kept, row_ranges(settings), strict=True):
            joined, dy = one.joined, dy_RW[rows]
            add_parts(gradients, joined.biases, joined.columns, partial(column_sums, dy))
            dx = None if dx_RD is None else dx_RD[rows]
            differentiate_adapters(one, kept_of_one, dy, dx, gradients)

    @staticmethod
    def plain(settings: Sequence[LinearSettings], *inputs: Tensor) -> Tensor:
        """torch's product with all rows, and what each model adds to its own."""
        (x_RD,) = inputs
        first = settings[0].joined
        y_RW = torch.cat([torch.nn.functional.linear(x_RD, w) for w in first.weights], dim=1)
        outputs = []
        for one, rows in zip(settings, row_ranges(settings), strict=True):
            parts = [y_RW[rows, columns] for columns in one.joined.columns]
            if one.joined.biases:
                parts = [part + bias for part, bias in zip(parts, one.joined.biases, strict=True)]
            for index, update_RO in plain_updates(one, x_RD[rows]):
                parts[index] = parts[index] + update_RO
            outputs.append(torch.cat(parts, dim=1))
        return torch.cat(outputs)


def row_ranges(settings: Sequence[LinearSettings]) -> list[slice]:
    """Return where the rows of each model stand among all."""
    ends = np.cumsum([len(one.rows) for one in settings]).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def have_same_weights(first: Joined, other: Joined) -> bool:
    """Return whether the frozen weights of both groups of layers lie at the same places."""
    if first.trains_weights or other.trains_weights or len(first.weights) != len(other.weights):
        return False
    pairs = zip(first.weights, other.weights, strict=True)
    return all(a.data_ptr() == b.data_ptr() and a.shape == b.shape for a, b in pairs)
