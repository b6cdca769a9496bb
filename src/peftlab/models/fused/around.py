"""The modules that some methods put around unchanged linear layers: (IA)3's scales, adapters.

The layers themselves can then be computed by the kernels, and for several models at once where
they are frozen; what stands around them is computed by torch.

Legend: R rows, D columns of x, W columns of all layers' outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from peftlab.models.bottleneck import AdaptedOutput

Change = Callable[[Tensor], Tensor]


def unchanged(x: Tensor) -> Tensor:
    """Return x."""
    return x


@dataclass(frozen=True, kw_only=True)
class Around:
    """The layers within modules that read the same rows, and what happens before and after them.

    `before` changes their input [R, D], `after` their outputs side by side [R, W].
    """

    layers: tuple[nn.Module, ...]
    before: Change = unchanged
    after: Change = unchanged


def around_layers(modules: Sequence[nn.Module]) -> Around | None:
    """Return what stands around the layers in these modules; None if that is nothing known."""
    if len(modules) == 1 and type(modules[0]) is AdaptedOutput:
        adapted: Any = modules[0]
        return Around(layers=(adapted.base_layer,), after=lambda y_RW: y_RW + adapted.adapter(y_RW))
    scales = [_scale_of(module) for module in modules]
    if all(scale is None for scale in scales):
        return None
    layers = tuple(
        module if scale is None else module.get_submodule("base_layer")
        for module, scale in zip(modules, scales, strict=True)
    )
    if not any(getattr(module, "is_feedforward", False) for module in modules):
        return Around(layers=layers, after=_Scaled(layers, scales))
    if len(modules) == 1:
        return Around(layers=layers, before=_Scaled(layers, scales))
    return None


def _scale_of(module: nn.Module) -> nn.Parameter | None:
    """Return the vector of (IA)3 on a linear layer; None if there is none, or more than that."""
    if not type(module).__module__.startswith("peft."):
        return None
    from peft.tuners.ia3.layer import Linear

    if type(module) is not Linear or type(module.base_layer) is not nn.Linear:
        return None
    names = [name for name in module.active_adapters if name in module.ia3_l]
    if module.disable_adapters or module.merged or len(names) != 1:
        return None
    scale: nn.Parameter = module.ia3_l[names[0]]
    return scale


@dataclass(frozen=True)
class _Scaled:
    """Multiplies the columns of each layer with its vector, if it has one."""

    layers: Sequence[Any]
    scales: Sequence[nn.Parameter | None]

    def __call__(self, x_RC: Tensor) -> Tensor:
        parts = [
            x_RC.new_ones(layer.out_features) if scale is None else scale.flatten()
            for layer, scale in zip(self.layers, self.scales, strict=True)
        ]
        return (x_RC * (parts[0] if len(parts) == 1 else torch.cat(parts))).to(x_RC.dtype)
