"""Linear layers that several models share, frozen, each with biases and adapters of its own.

Legend: R rows of all models, D columns of x, W columns of all layers' outputs.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peftlab.models.fused.linear import (
    JoinedLinear,
    LinearSettings,
    add_adapters,
    add_parts,
    add_product,
    differentiate_adapters,
    plain_updates,
    stacked,
)
from peftlab.models.fused.operation import Gradients, Node
from peftlab.models.fused.products import add_matmul, linear
from peftlab.models.fused.shared import Several, SharedOperation
from peftlab.models.fused.sums import column_sums


class SharedLinear(SharedOperation):
    """`JoinedLinear` of several models with the same frozen weights.

    The weights multiply the rows of all models at once; biases and adapters are each model's own.
    """

    one = JoinedLinear

    @staticmethod
    def alike(settings: LinearSettings) -> Hashable | None:
        """Return where the weights lie; None if they train."""
        weights = settings.joined.weights
        if settings.joined.trains_weights:
            return None
        return tuple((weight.data_ptr(), weight.shape) for weight in weights)

    @classmethod
    def parameters(cls, settings: Several) -> tuple[nn.Parameter, ...]:
        """Weights of the first model, then biases, and A and B of each adapter, of all."""
        first, *_ = settings.settings
        joined = (one.joined for one in settings.settings)
        of_each = (one.parameters[len(one.weights) :] for one in joined)
        return (*first.joined.weights, *chain.from_iterable(of_each))

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Kept is what adapters read."""
        ((x_RD,), (first, *_), (ranges,)) = inputs, settings.settings, settings.rows
        weight_WD = first.joined.weight()
        if first.joined.biases:
            y_RW = x_RD.new_empty(len(x_RD), weight_WD.shape[0])
            for one, rows in zip(settings.settings, ranges, strict=True):
                y_RW[rows] = stacked(one.joined.biases)
            add_matmul(y_RW, x_RD, weight_WD.T)  # in the order in which `linear` sums
        else:
            y_RW = linear(x_RD, weight_WD, None)
        kept = [
            add_adapters(one, x_RD[rows], y_RW[rows])
            for one, rows in zip(settings.settings, ranges, strict=True)
        ]
        return y_RW, kept

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Gradients of x, and of biases and adapters that are trained."""
        (x,), (first, *_), (ranges,) = inputs, settings.settings, settings.rows
        if x.is_needed:
            add_product(x, gradient, first.joined.weight())
        dx_RD = x.gradient if x.is_needed else None
        for one, kept_of_one, rows in zip(settings.settings, kept, ranges, strict=True):
            joined, dy = one.joined, gradient[rows]
            add_parts(gradients, joined.biases, joined.columns, partial(column_sums, dy))
            dx = None if dx_RD is None else dx_RD[rows]
            differentiate_adapters(one, kept_of_one, dy, dx, gradients)

    @classmethod
    def plain(cls, settings: Several, *inputs: Tensor) -> Tensor:
        """torch's product with all rows, and what each model adds to its own."""
        (x_RD,), (first, *_), (ranges,) = inputs, settings.settings, settings.rows
        y_RW = torch.cat([functional.linear(x_RD, one) for one in first.joined.weights], dim=1)
        outputs = []
        for one, rows in zip(settings.settings, ranges, strict=True):
            parts = [y_RW[rows, columns] for columns in one.joined.columns]
            if one.joined.biases:
                parts = [part + bias for part, bias in zip(parts, one.joined.biases, strict=True)]
            for index, update_RO in plain_updates(one, x_RD[rows]):
                parts[index] = parts[index] + update_RO
            outputs.append(torch.cat(parts, dim=1))
        return torch.cat(outputs)
