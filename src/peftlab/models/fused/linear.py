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

from peftlab.models.fused.dropout import (
    active_probability,
    add_dropped,
    dropped,
    plain_dropout,
)
from peftlab.models.fused.matmul import add_matmul, linear, matmul
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.sums import column_sums
from peftlab.models.fused.tape import Gradients, Node, Operation


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
    def weights(self) -> tuple[nn.Parameter, ...]:
        """The layers' weights."""
        return tuple(layer.weight for layer in self.layers)

    @cached_property
    def biases(self) -> tuple[nn.Parameter, ...]:
        """The layers' biases; () where they have none."""
        return tuple(layer.bias for layer in self.layers if layer.bias is not None)

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """All of them, the adapters' last."""
        matrices = [matrix for adapter in self.adapters for matrix in (adapter.a, adapter.b)]
        return (*self.weights, *self.biases, *matrices)


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


@dataclass(frozen=True, kw_only=True)
class LinearSettings:
    """The layers, where the rows of x come from, and each adapter's dropout (key, probability)."""

    joined: Joined
    rows: Rows
    dropouts: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, joined: Joined, rows: Rows, keys: Keys) -> LinearSettings:
        """With the dropout masks of the present step."""
        dropouts = tuple(
            (keys(adapter.site) if adapter.probability > 0 else 0, adapter.probability)
            for adapter in joined.adapters
        )
        return cls(joined=joined, rows=rows, dropouts=dropouts)


class JoinedLinear(Operation):
    """x [R, D] to the outputs [R, sum of widths] of all layers, side by side."""

    @staticmethod
    def parameters(settings: LinearSettings) -> tuple[nn.Parameter, ...]:
        """Weights, biases, and A and B of each adapter."""
        return settings.joined.parameters

    @staticmethod
    def forward(settings: LinearSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """The products; x is kept where weights are trained, and what adapters read."""
        (x_RD,) = inputs
        joined = settings.joined
        bias_W = _stacked(joined.biases) if joined.biases else None
        y_RW = linear(x_RD, _stacked(joined.weights), bias_W)
        kept = []
        for adapter, (key, probability) in zip(joined.adapters, settings.dropouts, strict=True):
            x = dropped(x_RD, settings.rows, key, probability) if probability > 0 else x_RD
            low_Rr = linear(x, adapter.a.detach(), scale=adapter.scaling)
            add_matmul(y_RW[:, joined.columns[adapter.index]], low_Rr, adapter.b.detach().T)
            kept.append((x, low_Rr))
        trains_weights = any(weight.requires_grad for weight in joined.weights)
        return y_RW, (x_RD if trains_weights else None, kept)

    @staticmethod
    def backward(
        settings: LinearSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Gradients of x and of all parameters that are trained."""
        joined, (x,), dy_RW = settings.joined, inputs, gradient
        x_RD, kept_of_adapters = kept
        if x.is_needed:
            x.add_product(dy_RW, _stacked(joined.weights))
        _add_parts(gradients, joined.weights, joined.columns, lambda: matmul(dy_RW.T, x_RD))
        _add_parts(gradients, joined.biases, joined.columns, lambda: column_sums(dy_RW))
        for adapter, (key, probability), (x_dropped, low_Rr) in zip(
            joined.adapters, settings.dropouts, kept_of_adapters, strict=True
        ):
            dy_RO = dy_RW[:, joined.columns[adapter.index]]
            a, b = adapter.a, adapter.b
            dlow_Rr = matmul(dy_RO, b.detach(), scale=adapter.scaling)
            if a.requires_grad:
                gradients[a] = matmul(dlow_Rr.T, x_dropped)
            if b.requires_grad:
                gradients[b] = matmul(dy_RO.T, low_Rr)
            if not x.is_needed:
                continue
            if probability > 0:
                assert x.gradient is not None
                dx_RD = matmul(dlow_Rr, a.detach())
                add_dropped(dx_RD, settings.rows, key, probability, x.gradient)
            else:
                x.add_product(dlow_Rr, a.detach())

    @staticmethod
    def plain(settings: LinearSettings, *inputs: Tensor) -> Tensor:
        """torch's products, one of each layer."""
        (x_RD,) = inputs
        outputs = [layer(x_RD) for layer in settings.joined.layers]
        for adapter, (key, probability) in zip(
            settings.joined.adapters, settings.dropouts, strict=True
        ):
            x = x_RD
            if probability > 0:
                x = plain_dropout(x_RD, settings.rows, key, probability)
            update = x @ adapter.a.T @ adapter.b.T * adapter.scaling
            outputs[adapter.index] = outputs[adapter.index] + update
        return torch.cat(outputs, dim=1)


def _add_parts(
    gradients: Gradients,
    parameters: Sequence[nn.Parameter],
    ranges: Sequence[slice],
    compute: Callable[[], Tensor],
) -> None:
    """The gradient of all layers cut into each layer's, computed only if one is trained."""
    if not any(parameter.requires_grad for parameter in parameters):
        return
    whole = compute()
    for parameter, part in zip(parameters, ranges, strict=True):
        if parameter.requires_grad:
            gradients[parameter] = whole[part]
