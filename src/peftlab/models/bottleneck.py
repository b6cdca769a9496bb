"""Bottleneck adapters as modules, and the places in a layer where they stand.

Both begin as the identity, exactly: the projection back up is zero, so that the first step trains
it alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from peftlab.core.errors import UserError

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
        """First weights; nothing on the device "meta"."""
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
        """What is to be added."""
        update: Tensor = self.up(self.non_linearity(self.down(x)))
        return update


class AdaptedOutput(nn.Module):
    """A sublayer's last projection, y, with an adapter behind it: y + bottleneck(y)."""

    def __init__(self, base_layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """The projection, adapted."""
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
        """The sum, adapted and normalised."""
        before: Tensor = self.base_layer(x)
        after: Tensor = self.base_layer(x + self.adapter(before))
        return after


@dataclass(frozen=True, kw_only=True)
class Places:
    """Names within a layer: the last projections of its two sublayers, and the norm that follows
    the sum behind the second; None where there is no such module."""

    attention: str | None
    feed_forward: str
    norm: str | None = None


PLACES = (
    Places(
        attention="attention.output.dense", feed_forward="output.dense", norm="output.LayerNorm"
    ),
    Places(attention="attention.attn.o", feed_forward="output.dense", norm="output.LayerNorm"),
    Places(attention="attention.out_lin", feed_forward="ffn.lin2", norm="output_layer_norm"),
    Places(attention="attention.dense", feed_forward="ffn_output", norm="full_layer_layer_norm"),
    Places(attention="attention.post_proj", feed_forward="ffn.linear_2", norm="ffn.layer_norm"),
    Places(attention=None, feed_forward="ff.layer_2", norm="ff.layer_norm"),
    Places(attention="attn.Wo", feed_forward="mlp.Wo"),
    Places(attention="attn.c_proj", feed_forward="mlp.c_proj"),
    Places(attention="self_attn.out_proj", feed_forward="fc2"),
    Places(attention="self_attn.o_proj", feed_forward="mlp.down_proj"),
)
"""In this order: BERT and its kin, MPNet, DistilBERT, ALBERT, Funnel, XLNet, ModernBERT, GPT-2,
OPT, Llama and its kin."""


def projection_names(model: PreTrainedModel) -> list[str]:
    """The last projections of all sublayers, in the model's order; UserError if not known."""
    places, layers = _layers(model)
    if places.attention is None:
        raise _unknown(model, "an output projection of its attention that is a module")
    return [
        f"{layer}.{name}" for layer in layers for name in (places.attention, places.feed_forward)
    ]


def last_norm_names(model: PreTrainedModel) -> list[str]:
    """The norm at the end of every layer, behind the last sum; UserError where there is none."""
    places, layers = _layers(model)
    modules = dict(model.named_modules())
    names = [f"{layer}.{places.norm}" for layer in layers]
    if places.norm is None or not all(name in modules for name in names):
        raise _unknown(
            model, "a normalisation at the end of its layers (method houlsby needs none)"
        )
    return names


def _layers(model: PreTrainedModel) -> tuple[Places, list[str]]:
    """The first places that the model has, and the names of the modules that have them."""
    names = [name for name, _ in model.named_modules()]
    known = set(names)
    for places in PLACES:
        end = f".{places.feed_forward}"
        layers = [name.removesuffix(end) for name in names if name.endswith(end)]
        if places.attention is not None:
            layers = [layer for layer in layers if f"{layer}.{places.attention}" in known]
        if layers:
            return places, layers
    raise _unknown(model, "a place for an adapter that is known")


def _unknown(model: PreTrainedModel, what: str) -> UserError:
    return UserError(f"the architecture {model.config.model_type} does not have {what}")
