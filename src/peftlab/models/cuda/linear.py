"""Linear layers that share their input: cuBLAS's product of all, and Triton kernels for LoRA.

Operands of the products have the type of x; gradients have the type of their parameters.

Legend: T tokens, D columns of x, W columns of all layers.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from peftlab.models.cuda.lora import Lora
from peftlab.models.fused.linear import Joined, LinearSettings, add_parts, stacked
from peftlab.models.fused.operation import Gradients, Node

_rounded: WeakKeyDictionary[Joined, dict[int, tuple[Any, Tensor]]] = WeakKeyDictionary()
"""The rounded frozen parameters of each group, by the first of them."""


def operand_of(joined: Joined, parameters: tuple[nn.Parameter, ...], dtype: torch.dtype) -> Tensor:
    """Return parameters of a group, side by side, in the type of the product's other operand.

    Where none of them is trained, what was rounded is kept as long as they stay as they are.
    """
    if all(parameter.dtype == dtype for parameter in parameters):
        return stacked(parameters)
    if any(parameter.requires_grad for parameter in parameters):
        return stacked(parameters).to(dtype)
    known_by = (dtype, *((p.data_ptr(), p._version) for p in parameters))
    rounded = _rounded.setdefault(joined, {})
    found = rounded.get(id(parameters[0]))
    if found is None or found[0] != known_by:
        found = rounded[id(parameters[0])] = (known_by, stacked(parameters).to(dtype))
    return found[1]


class JoinedLinearKernels:
    """The kernels of `JoinedLinear`."""

    @staticmethod
    def forward(settings: LinearSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the products; x is kept where weights are trained, and what adapters read."""
        (x_TD,) = inputs
        joined = settings.joined
        weight_WD = operand_of(joined, joined.weights, x_TD.dtype)
        if joined.biases:
            bias_W = operand_of(joined, joined.biases, x_TD.dtype)
            y_TW = torch.addmm(bias_W, x_TD, weight_WD.T)
        else:
            y_TW = torch.mm(x_TD, weight_WD.T)
        lora = None
        if joined.adapters:
            lora = Lora.of([settings], x_TD, settings.rows)
            lora.add_to(y_TW)
        return y_TW, (x_TD if joined.trains_weights else None, lora)

    @staticmethod
    def backward(
        settings: LinearSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of x and of all parameters that are trained."""
        joined, (x,), dy_TW = settings.joined, inputs, gradient
        x_TD, lora = kept
        if x.is_needed:
            x.add(torch.mm(dy_TW, operand_of(joined, joined.weights, dy_TW.dtype)))
        dtype = joined.weights[0].dtype
        add_parts(
            gradients, joined.weights, joined.columns, lambda: torch.mm(dy_TW.T, x_TD).to(dtype)
        )
        add_parts(gradients, joined.biases, joined.columns, lambda: dy_TW.sum(0, dtype=dtype))
        if lora is not None:
            lora.differentiate(dy_TW, x.gradient if x.is_needed else None, gradients)
