"""Linear layers that share their input, as one matrix product, with LoRA on any of them.

A query, key and value projection reads the same rows. Their weights lie side by side in one
block (`share_storage`), so that the forward pass and each half of the backward pass take one
product instead of three. peft's LoRA layers are computed here from their own A and B; whatever
else peft wraps a linear layer in is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function

from peftlab.models.fused.dropout import (
    active_probability,
    add_dropped,
    dropped,
    plain_dropout,
)
from peftlab.models.fused.jit import runs_kernels
from peftlab.models.fused.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """LoRA on one of the linear layers: y += scaling * B(A(dropout(x))).

    `index` is the layer's place among those that share the input, `site` names the dropout.
    """

    index: int
    a: nn.Parameter
    b: nn.Parameter
    scaling: float
    dropout: nn.Module
    site: str

    @property
    def probability(self) -> float:
        """How likely an element of x is dropped now."""
        return active_probability(self.dropout)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Linear layers of equal input that can be computed as one, and the adapters on them."""

    layers: tuple[nn.Linear, ...]
    adapters: tuple[Adapter, ...]

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Where each layer's outputs stand among all."""
        ends = np.cumsum([layer.out_features for layer in self.layers]).tolist()
        return tuple(slice(start, end) for start, end in zip([0, *ends], ends, strict=False))

    @cached_property
    def biases(self) -> tuple[nn.Parameter, ...]:
        """The layers' biases; () where they have none."""
        return tuple(layer.bias for layer in self.layers if layer.bias is not None)


Keys = Callable[[str], int]
"""The generator's key of a dropout site in the present step."""


def join(modules: Sequence[nn.Module], site_of: Callable[[nn.Module], str]) -> Joined | None:
    """The modules as one, or None where one of them is neither nn.Linear nor peft's plain LoRA."""
    layers: list[nn.Linear] = []
    adapters: list[Adapter] = []
    for index, module in enumerate(modules):
        if type(module) is nn.Linear:
            layers.append(module)
            continue
        found = _plain_lora(module)
        if found is None:
            return None
        base, name = found
        layers.append(base)
        lora: Any = module
        adapters.append(
            Adapter(
                index=index,
                a=lora.lora_A[name].weight,
                b=lora.lora_B[name].weight,
                scaling=float(lora.scaling[name]),
                dropout=lora.lora_dropout[name],
                site=site_of(lora.lora_dropout[name]),
            )
        )
    has_bias = {layer.bias is not None for layer in layers}
    if len(has_bias) > 1 or any(_is_hooked(module) for module in (*modules, *layers)):
        return None
    return Joined(layers=tuple(layers), adapters=tuple(adapters))


def _plain_lora(module: nn.Module) -> tuple[nn.Linear, str] | None:
    """The base layer and the name of the one active adapter, where nothing else is on it."""
    from peft.tuners.lora.layer import Linear

    if type(module) is not Linear or type(module.base_layer) is not nn.Linear:
        return None
    names = [name for name in module.active_adapters if name in module.lora_A]
    if module.disable_adapters or module.merged or len(names) != 1:
        return None
    name = names[0]
    if name in module.lora_variant or module.lora_B[name].bias is not None:
        return None
    if not isinstance(module.lora_dropout[name], nn.Dropout | nn.Identity):
        return None
    return module.base_layer, name


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


@contextmanager
def share_storage(groups: Sequence[Joined]) -> Iterator[None]:
    """The weights (and biases) of each group side by side in one block, and apart again after.

    The parameters stay the objects that they are; only where their numbers lie changes.
    """
    for group in groups:
        for parameters in _stacks(group):
            block = torch.cat([parameter.detach() for parameter in parameters])
            sizes = [len(parameter) for parameter in parameters]
            for parameter, part in zip(parameters, block.split(sizes), strict=True):
                parameter.data = part
    try:
        yield
    finally:
        for group in groups:
            for parameters in _stacks(group):
                for parameter in parameters:
                    parameter.data = parameter.detach().clone()


def _stacks(group: Joined) -> list[list[Tensor]]:
    stacks: list[list[Tensor]] = [[layer.weight for layer in group.layers]]
    if group.layers[0].bias is not None:
        stacks.append([layer.bias for layer in group.layers])
    return stacks


def _stacked(parameters: Sequence[Tensor]) -> Tensor:
    """The parameters as one tensor: without a copy where they lie side by side."""
    first = parameters[0].detach()
    if len(parameters) == 1:
        return first
    start, size = first.storage_offset(), first.element_size()
    address = first.data_ptr()
    total = 0
    for parameter in parameters:
        if parameter.data_ptr() != address + total * size or not parameter.is_contiguous():
            return torch.cat([other.detach() for other in parameters])
        total += parameter.numel()
    if first.untyped_storage().nbytes() < (start + total) * size:
        return torch.cat([other.detach() for other in parameters])
    rows = sum(len(parameter) for parameter in parameters)
    return first.as_strided((rows, *first.shape[1:]), first.stride(), start)


def joined_linear(x_RD: Tensor, joined: Joined, rows: Rows, keys: Keys) -> Tensor:
    """The outputs [R, sum of widths] of all layers on `x`, side by side; differentiable."""
    dropouts = tuple(
        (keys(adapter.site) if adapter.probability > 0 else 0, adapter.probability)
        for adapter in joined.adapters
    )
    if not runs_kernels(x_RD):
        return plain_joined_linear(x_RD, joined, rows, dropouts)
    parameters = [*(layer.weight for layer in joined.layers), *joined.biases]
    parameters += [matrix for adapter in joined.adapters for matrix in (adapter.a, adapter.b)]
    return _JoinedLinear.apply(x_RD, joined, rows, dropouts, *parameters)  # type: ignore[no-any-return, no-untyped-call]


def plain_joined_linear(
    x_RD: Tensor, joined: Joined, rows: Rows, dropouts: Sequence[tuple[int, float]]
) -> Tensor:
    """The plain twin of `joined_linear`; `dropouts` are (key, probability) of each adapter."""
    outputs = [layer(x_RD) for layer in joined.layers]
    for adapter, (key, probability) in zip(joined.adapters, dropouts, strict=True):
        x = plain_dropout(x_RD, rows, key, probability) if probability > 0 else x_RD
        update = x @ adapter.a.T @ adapter.b.T * adapter.scaling
        outputs[adapter.index] = outputs[adapter.index] + update
    return torch.cat(outputs, dim=1)


class _JoinedLinear(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_RD: Tensor,
        joined: Joined,
        rows: Rows,
        dropouts: tuple[tuple[int, float], ...],
        *parameters: Tensor,
    ) -> Tensor:
        layers, adapters = joined.layers, joined.adapters
        x_RD = x_RD.detach().contiguous()
        weight_WD = _stacked([layer.weight for layer in layers])
        if joined.biases:
            y_RW = torch.addmm(_stacked(joined.biases), x_RD, weight_WD.T)
        else:
            y_RW = x_RD @ weight_WD.T
        kept = []
        for adapter, (key, probability) in zip(adapters, dropouts, strict=True):
            x = dropped(x_RD, rows, key, probability) if probability > 0 else x_RD
            low_Rr = x @ adapter.a.detach().T
            y_RW[:, joined.columns[adapter.index]].addmm_(
                low_Rr, adapter.b.detach().T, alpha=adapter.scaling
            )
            kept += [x, low_Rr]
        ctx.context = (joined, rows, dropouts)
        # The gradients of frozen weights are not needed, and so neither is x.
        trains_weights = any(layer.weight.requires_grad for layer in layers)
        ctx.save_for_backward(x_RD if trains_weights else None, *kept)
        return y_RW

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        joined, rows, dropouts = ctx.context
        columns, num_biases = joined.columns, len(joined.biases)
        x_RD, *kept = ctx.saved_tensors
        dy_RW = grads[0].contiguous()
        needs_x, _, _, _, *needs = ctx.needs_input_grad
        num_layers = len(joined.layers)
        needs_weights = needs[:num_layers]
        needs_biases = needs[num_layers : num_layers + num_biases]
        needs_adapters = needs[num_layers + num_biases :]
        weight_WD = _stacked([layer.weight for layer in joined.layers])
        dx_RD = dy_RW @ weight_WD if needs_x else None
        gradients: list[Tensor | None] = _parts_of(
            lambda: dy_RW.T @ x_RD, columns, needs_weights
        ) + _parts_of(lambda: dy_RW.sum(0), columns, needs_biases)
        for place, (adapter, (key, probability)) in enumerate(
            zip(joined.adapters, dropouts, strict=True)
        ):
            dy_RO = dy_RW[:, columns[adapter.index]]
            x, low_Rr = kept[2 * place], kept[2 * place + 1]
            dlow_Rr = (dy_RO @ adapter.b.detach()).mul_(adapter.scaling)
            needs_a, needs_b = needs_adapters[2 * place : 2 * place + 2]
            gradients.append(dlow_Rr.T @ x if needs_a else None)
            gradients.append((dy_RO.T @ low_Rr).mul_(adapter.scaling) if needs_b else None)
            if dx_RD is not None:
                if probability > 0:
                    add_dropped(dlow_Rr @ adapter.a.detach(), rows, key, probability, dx_RD)
                else:
                    dx_RD.addmm_(dlow_Rr, adapter.a.detach())
        return dx_RD, None, None, None, *gradients


def _parts_of(
    compute: Callable[[], Tensor], ranges: Sequence[slice], needs: Sequence[bool]
) -> list[Tensor | None]:
    """The gradient of all layers cut into each layer's, computed only if one is needed."""
    if not any(needs):
        return [None] * len(needs)
    whole = compute()
    return [whole[part] if need else None for part, need in zip(ranges, needs, strict=False)]
