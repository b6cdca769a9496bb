"""Bottleneck adapters as modules, and the places in a layer where they stand.

Both begin as the identity, exactly: the projection back up is zero, so that the first step trains
it alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from peftlab.core.errors import UserError
from peftlab.models.families import family_of
from peftlab.models.family import LayerNames

DOWN_STD = 0.01
"""Standard deviation of the first weights of the projection down, which are cut off at two of them
(Houlsby et al. 2019, section 3.6, draw both projections so)."""


class Bottleneck(nn.Module):
    """up(non_linearity(down(x))): what an adapter adds. [..., D] to [..., D]."""

    def __init__(self, width: int, size: int, non_linearity: str, like: Tensor) -> None:
        super().__init__()
        place = {"device": like.device, "dtype": like.dtype}
        self.down = skip_init(nn.Linear, width, size, **place)
        self.non_linearity = ACT2FN[non_linearity]
        self.up = skip_init(nn.Linear, size, width, **place)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the first weights; do nothing on the device "meta"."""
        with torch.no_grad():
            if not self.down.weight.is_meta:
                drawn = torch.empty(self.down.weight.shape)
                nn.init.trunc_normal_(
                    drawn, std=DOWN_STD, a=-2 * DOWN_STD, b=2 * DOWN_STD, generator=generator
                )
                self.down.weight.copy_(drawn)
            for zero in (self.down.bias, self.up.weight, self.up.bias):
                zero.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return the adapter's addition to x."""
        update: Tensor = self.up(self.non_linearity(self.down(x)))
        return update


class AdaptedOutput(nn.Module):
    """A sublayer's last projection, y, with an adapter behind it: y + bottleneck(y)."""

    def __init__(self, base_layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """Return the projection, adapted."""
        y: Tensor = self.base_layer(x)
        adapted: Tensor = y + self.adapter(y)
        return adapted


class AdaptedNorm(nn.Module):
    """The norm behind a residual sum s, with an adapter between: norm(s + bottleneck(norm(s)))."""

    def __init__(self, base_layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, adapted and normalised."""
        before: Tensor = self.base_layer(x)
        after: Tensor = self.base_layer(x + self.adapter(before))
        return after


def projection_names(model: PreTrainedModel) -> list[str]:
    """Return the last projections of all sublayers, in the model's order.

    Raises UserError where they are not known.
    """
    names, layers = _layers(model)
    if not names.attention_output:
        raise _unknown(model, "an output projection of its attention that is a module")
    return [f"{layer}.{name}" for layer in layers for name in (names.attention_output, names.down)]


def last_norm_names(model: PreTrainedModel) -> list[str]:
    """Return the norm at the end of every layer, behind the last sum; UserError where there is
    none."""
    names, layers = _layers(model)
    modules = dict(model.named_modules())
    norms = [f"{layer}.{names.last_norm}" for layer in layers]
    if not names.last_norm or not all(norm in modules for norm in norms):
        raise _unknown(
            model, "a normalisation at the end of its layers (method houlsby needs none)"
        )
    return norms


def _layers(model: PreTrainedModel) -> tuple[LayerNames, list[str]]:
    """Return the first known names that the model's modules have, and those modules."""
    modules = [name for name, _ in model.named_modules()]
    known = set(modules)
    for names in family_of(model.config.model_type).layers:
        end = f".{names.down}"
        layers = [module.removesuffix(end) for module in modules if module.endswith(end)]
        if names.attention_output:
            layers = [layer for layer in layers if f"{layer}.{names.attention_output}" in known]
        if layers:
            return names, layers
    raise _unknown(model, "a place for an adapter that is known")


def _unknown(model: PreTrainedModel, what: str) -> UserError:
    return UserError(f"the architecture {model.config.model_type} does not have {what}")
