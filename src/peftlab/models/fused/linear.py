"""Linear layers that share their input, as one matrix product, with LoRA on any of them.

A query, key and value projection reads the same rows. Their weights lie side by side in one block
(`share_storage`), so that the forward pass and each half of the backward pass take one product
instead of three. peft's LoRA layers are computed here from their own A and B; any other module in
which peft wraps a linear layer is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from peftlab.models.fused.dropout import (
    active_probability,
    add_dropped,
    dropped,
    plain_dropout,
)
from peftlab.models.fused.operation import Gradients, Node, Operation
from peftlab.models.fused.products import Fixed, Matrix, add_matmul, linear, matmul
from peftlab.models.fused.rounding import rounds
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.sums import column_sums


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
        """The current dropout probability."""
        return active_probability(self.dropout)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Linear layers with the same input that can be computed as one, and the adapters on them."""

    layers: tuple[nn.Linear, ...]
    adapters: tuple[Adapter, ...]
    _fixed: dict[Any, Fixed] = field(default_factory=dict, compare=False, repr=False)

    def weight(self) -> Matrix:
        """Return the weights as one matrix; frozen ones are fixed if they are to be rounded."""
        weight = stacked(self.weights)
        if self.trains_weights or not rounds():
            return weight
        key = (weight.data_ptr(), *(one._version for one in self.weights))
        if key not in self._fixed:
            self._fixed.clear()
            self._fixed[key] = Fixed(weight)
        return self._fixed[key]

    def forget_roundings(self) -> None:
        """Drop the roundings of frozen weights."""
        self._fixed.clear()

    @property
    def roundings(self) -> list[Tensor]:
        """The roundings of frozen weights that are kept."""
        return [one for fixed in self._fixed.values() for one in fixed.roundings]

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """The columns of each layer's outputs among all outputs."""
        ends = np.cumsum([layer.out_features for layer in self.layers]).tolist()
        return tuple(slice(start, end) for start, end in zip([0, *ends], ends, strict=False))

    @property
    def trains_weights(self) -> bool:
        """Whether the weight of any layer is trained, in which case x must be kept."""
        return any(weight.requires_grad for weight in self.weights)

    def branches(self, dropouts: Sequence[tuple[int, float]]) -> list[Branch]:
        """Return the adapters by the input that they share; `dropouts` are (key, probability)."""
        if not any(probability > 0 for _, probability in dropouts):
            return [self._undropped] if self.adapters else []
        return [
            _branch([adapter], key, probability)
            for adapter, (key, probability) in zip(self.adapters, dropouts, strict=True)
        ]

    @cached_property
    def _undropped(self) -> Branch:
        return _branch(self.adapters, 0, 0.0)

    @cached_property
    def weights(self) -> tuple[nn.Parameter, ...]:
        """The layers' weights."""
        return tuple(cast(nn.Parameter, layer.weight) for layer in self.layers)

    @cached_property
    def biases(self) -> tuple[nn.Parameter, ...]:
        """The layers' biases; () if they have none."""
        return tuple(layer.bias for layer in self.layers if layer.bias is not None)

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters of the layers, followed by those of the adapters."""
        matrices = [matrix for adapter in self.adapters for matrix in (adapter.a, adapter.b)]
        return (*self.weights, *self.biases, *matrices)


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Adapters that read the same dropped x, each with its columns in the product of their A's."""

    key: int
    probability: float
    adapters: tuple[tuple[Adapter, slice], ...]

    @cached_property
    def downs(self) -> tuple[nn.Parameter, ...]:
        """The matrices A of the adapters."""
        return tuple(adapter.a for adapter, _ in self.adapters)


Keys = Callable[[str], int]
"""The function from a dropout site to the generator's key in the current step."""
SiteOf = Callable[[nn.Module], str]
"""The function from a dropout module to its site."""


def _branch(adapters: Sequence[Adapter], key: int, probability: float) -> Branch:
    ends = np.cumsum([len(adapter.a) for adapter in adapters]).tolist()
    ranges = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return Branch(
        key=key, probability=probability, adapters=tuple(zip(adapters, ranges, strict=True))
    )


def join(modules: Sequence[nn.Module], site_of: SiteOf) -> Joined | None:
    """Return the modules as one; None if any is neither nn.Linear nor peft's plain LoRA."""
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
    if len(has_bias) > 1 or any(is_hooked(module) for module in (*modules, *layers)):
        return None
    return Joined(layers=tuple(layers), adapters=tuple(adapters))


def _plain_lora(module: nn.Module) -> tuple[nn.Linear, str] | None:
    """Return the base layer and the name of its one active adapter; None if there is more."""
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


def is_hooked(module: nn.Module) -> bool:
    """Return whether the module has forward hooks."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


@contextmanager
def share_storage(groups: Sequence[Joined]) -> Iterator[None]:
    """Put weights, biases and adapters' A of each group side by side in memory within the block.

    The parameters remain the same objects; only the location of their numbers changes.
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


def _stacks(group: Joined) -> list[tuple[nn.Parameter, ...]]:
    downs = tuple(adapter.a for adapter in group.adapters)
    return [stack for stack in (group.weights, group.biases, downs) if stack]


def stacked(parameters: Sequence[Tensor]) -> Tensor:
    """Return the parameters as one tensor, without a copy if they lie side by side."""
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
    """The layers, the origin of the rows of x, and each adapter's dropout (key, probability)."""

    joined: Joined
    rows: Rows
    dropouts: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, joined: Joined, rows: Rows, keys: Keys) -> LinearSettings:
        """Return the settings with the dropout masks of the current step."""
        dropouts = tuple(
            (keys(adapter.site) if adapter.probability > 0 else 0, adapter.probability)
            for adapter in joined.adapters
        )
        return cls(joined=joined, rows=rows, dropouts=dropouts)


class JoinedLinear(Operation):
    """The operation from x [R, D] to the outputs [R, sum of widths] of all layers, side by side."""

    @staticmethod
    def parameters(settings: LinearSettings) -> tuple[nn.Parameter, ...]:
        """Return the weights, the biases, and A and B of each adapter."""
        return settings.joined.parameters

    @staticmethod
    def forward(settings: LinearSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the products; x is kept if weights are trained, and so are adapters' inputs."""
        (x_RD,) = inputs
        joined = settings.joined
        bias_W = stacked(joined.biases) if joined.biases else None
        y_RW = linear(x_RD, joined.weight(), bias_W)
        kept = add_adapters(settings, x_RD, y_RW)
        return y_RW, (x_RD if joined.trains_weights else None, kept)

    @staticmethod
    def backward(
        settings: LinearSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of x and of all parameters that are trained."""
        joined, (x,), dy_RW = settings.joined, inputs, gradient
        x_RD, kept_of_branches = kept
        if x.is_needed:
            add_product(x, dy_RW, joined.weight())
        add_parts(gradients, joined.weights, joined.columns, lambda: matmul(dy_RW.T, x_RD))
        add_parts(gradients, joined.biases, joined.columns, lambda: column_sums(dy_RW))
        dx_RD = x.gradient if x.is_needed else None
        differentiate_adapters(settings, kept_of_branches, dy_RW, dx_RD, gradients)

    @staticmethod
    def plain(settings: LinearSettings, *inputs: Tensor) -> Tensor:
        """Return the products by torch, one for each layer."""
        (x_RD,) = inputs
        outputs = [layer(x_RD) for layer in settings.joined.layers]
        for index, update_RO in plain_updates(settings, x_RD):
            outputs[index] = outputs[index] + update_RO
        return torch.cat(outputs, dim=1)


def plain_updates(settings: LinearSettings, x_RD: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Give what each adapter adds to the outputs of a layer, and the number of that layer."""
    adapters = settings.joined.adapters
    for adapter, (key, probability) in zip(adapters, settings.dropouts, strict=True):
        x = x_RD
        if probability > 0:
            x = plain_dropout(x_RD, settings.rows, key, probability)
        yield adapter.index, x @ adapter.a.T @ adapter.b.T * adapter.scaling


def add_adapters(settings: LinearSettings, x_RD: Tensor, y_RW: Tensor) -> Any:
    """Add what the adapters give to y; return what their gradients need."""
    kept = []
    for branch in settings.joined.branches(settings.dropouts):
        x = x_RD
        if branch.probability > 0:
            x = dropped(x_RD, settings.rows, branch.key, branch.probability)
        low_Rr = linear(x, stacked(branch.downs))
        for adapter, ranks in branch.adapters:
            y_RO = y_RW[:, settings.joined.columns[adapter.index]]
            b = adapter.b.detach()
            add_matmul(y_RO, low_Rr[:, ranks], b.T, scale=adapter.scaling)
        kept.append((branch, x, low_Rr))
    return kept


def differentiate_adapters(
    settings: LinearSettings,
    kept: Any,
    dy_RW: Tensor,
    dx_RD: Tensor | None,
    gradients: Gradients,
) -> None:
    """Set the gradients of the adapters, and add to that of x if it is given."""
    for branch, x_dropped, low_Rr in kept:
        dlow_Rr = torch.empty_like(low_Rr)
        for adapter, ranks in branch.adapters:
            dy_RO, b = dy_RW[:, settings.joined.columns[adapter.index]], adapter.b
            scale, dlow = adapter.scaling, dlow_Rr[:, ranks]
            matmul(dy_RO, b.detach(), scale=scale, out_RN=dlow)
            if b.requires_grad:
                gradients[b] = matmul(dy_RO.T, low_Rr[:, ranks], scale=scale)
        ranges = [ranks for _, ranks in branch.adapters]
        downs, down_rD = branch.downs, stacked(branch.downs)
        add_parts(gradients, downs, ranges, partial(matmul, dlow_Rr.T, x_dropped))
        if dx_RD is None:
            continue
        if branch.probability > 0:
            dx = matmul(dlow_Rr, down_rD)
            add_dropped(dx, settings.rows, branch.key, branch.probability, dx_RD)
        else:
            add_matmul(dx_RD, dlow_Rr, down_rD)


def add_product(node: Node, a_RK: Tensor, b_KN: Matrix) -> None:
    """Add a @ b to the node's gradient."""
    if node.gradient is None:
        node.gradient = matmul(a_RK, b_KN)
    else:
        add_matmul(node.gradient, a_RK, b_KN)


def add_parts(
    gradients: Gradients,
    parameters: Sequence[nn.Parameter],
    ranges: Sequence[slice],
    compute: Callable[[], Tensor],
) -> None:
    """Split the gradient of all layers among them, computed only if any of them is trained."""
    if not any(parameter.requires_grad for parameter in parameters):
        return
    whole = compute()
    for parameter, part in zip(parameters, ranges, strict=True):
        if parameter.requires_grad:
            gradients[parameter] = whole[part]
