"""Bottleneck adapters as modules, and the places in a layer where they stand.

Both kinds start as the exact identity: the up projection is zero, so that the first step trains
only it.
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
"""The standard deviation of the initial weights of the down projection, truncated at two standard
deviations (Houlsby et al. 2019, section 3.6, draw both projections this way)."""


class Bottleneck(nn.Module):
    """The term up(non_linearity(down(x))) that an adapter adds, from [..., D] to [..., D]."""

    def __init__(self, width: int, size: int, non_linearity: str, like: Tensor) -> None:
        super().__init__()
        place = {"device": like.device, "dtype": like.dtype}
        self.down = skip_init(nn.Linear, width, size, **place)
        self.non_linearity = ACT2FN[non_linearity]
        self.up = skip_init(nn.Linear, size, width, **place)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the initial weights; do nothing on the device "meta"."""
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
        """Return the term that the adapter adds."""
        update: Tensor = self.up(self.non_linearity(self.down(x)))
        return update


class AdaptedOutput(nn.Module):
    """A sublayer's last projection, y, followed by an adapter: y + bottleneck(y)."""

    def __init__(self, base_layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """Return the adapted projection."""
        y: Tensor = self.base_layer(x)
        adapted: Tensor = y + self.adapter(y)
        return adapted


class AdaptedNorm(nn.Module):
    """The norm after a residual sum s, with an adapter before it: norm(s + bottleneck(norm(s)))."""

    def __init__(self, base_layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """Return the adapted and normalised sum."""
        before: Tensor = self.base_layer(x)
        after: Tensor = self.base_layer(x + self.adapter(before))
        return after


def projection_names(model: PreTrainedModel) -> list[str]:
    """Return the last projections of all sublayers, in the model's order.

    Raises UserError if they are not known.
    """
    names, layers = _layers(model)
    if not names.attention_output:
        raise _unknown(model, "an output projection of its attention that is a module")
    return [f"{layer}.{name}" for layer in layers for name in (names.attention_output, names.down)]


def last_norm_names(model: PreTrainedModel) -> list[str]:
    """Return the name of the last norm of each layer; raise UserError if there is none."""
    names, layers = _layers(model)
    modules = dict(model.named_modules())
    norms = [f"{layer}.{names.last_norm}" for layer in layers]
    if not names.last_norm or not all(norm in modules for norm in norms):
        raise _unknown(
            model, "a normalisation at the end of its layers (method houlsby needs none)"
        )
    return norms


def _layers(model: PreTrainedModel) -> tuple[LayerNames, list[str]]:
    """Return the first known names that occur in the model, and the layers that have them."""
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
