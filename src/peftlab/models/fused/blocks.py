"""Encoder blocks with LayerNorm after each residual sum, run on a packed batch.

Transformers' modules stay as they are and keep their weights; only the order in which a block calls
them is defined here, so that kernels can run between them. A projection that peft wraps in
something other than plain LoRA is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.models.families import family_of
from peftlab.models.family import BlockNames
from peftlab.models.fused.around import Around, around_layers
from peftlab.models.fused.attention import Attention, AttentionSettings, Heads, Spans
from peftlab.models.fused.dropout import active_probability
from peftlab.models.fused.gelu import Gelu, GeluSettings, is_exact_gelu
from peftlab.models.fused.linear import Joined, JoinedLinear, Keys, LinearSettings, SiteOf, join
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings, is_plain_norm
from peftlab.models.fused.operation import Call, Program
from peftlab.models.fused.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Modules that read the same rows, and how to compute them as one where that is possible.

    `around` is what stands around the layers that are computed as one, if anything does.
    """

    modules: tuple[nn.Module, ...]
    joined: Joined | None
    around: Around | None

    @classmethod
    def of(cls, *modules: nn.Module, site_of: SiteOf) -> Projection:
        """Return the projection of these modules."""
        around = around_layers(modules)
        layers = modules if around is None else around.layers
        return cls(modules=modules, joined=join(layers, site_of), around=around)

    def program(self, x_RD: Any, rows: Rows, keys: Keys) -> Program[tuple[Any, ...]]:
        """Compute one value with all outputs side by side, or one of each module."""
        if self.joined is None:
            return tuple(module(x_RD) for module in self.modules)
        if self.around is not None:
            x_RD = self.around.before(x_RD)
        y_RW = yield Call(JoinedLinear, LinearSettings.of(self.joined, rows, keys), (x_RD,))
        return (y_RW if self.around is None else self.around.after(y_RW),)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """The end of a sublayer: norm(residual + dropout(x)), without dropout in some models."""

    dropout: nn.Dropout | None
    norm: nn.Module
    site: str

    @property
    def is_plain(self) -> bool:
        """Whether the kernels can compute it."""
        return is_plain_norm(self.norm)

    def program(self, x_RD: Any, residual_RD: Any, rows: Rows, keys: Keys) -> Program[Any]:
        """Compute the sum, normalised."""
        if self.is_plain:
            probability = active_probability(self.dropout)
            settings = NormSettings(
                norm=cast(nn.LayerNorm, self.norm),
                rows=rows,
                key=keys(self.site) if probability > 0 else 0,
                probability=probability,
            )
            return (yield Call(DropoutAddNorm, settings, (x_RD, residual_RD)))
        x_RD = x_RD if self.dropout is None else self.dropout(x_RD)
        return self.norm(residual_RD + x_RD)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One encoder block, given by its parts."""

    query_key_value: Projection
    query: Projection
    key_value: Projection
    heads: Heads
    attention_dropout: nn.Dropout
    attention_site: str
    attention_output: Projection
    attention_residual: Residual
    up: Projection
    activation: Callable[[Tensor], Tensor]
    down: Projection
    output_residual: Residual

    @property
    def joined(self) -> list[Joined]:
        """The groups of layers whose weights should lie side by side."""
        found = self.query_key_value.joined
        return [] if found is None else [found]

    @property
    def roundings(self) -> list[Tensor]:
        """The roundings of frozen weights that are kept."""
        return [one for joined in self._every_joined for one in joined.roundings]

    def forget_roundings(self) -> None:
        """Drop the roundings of frozen weights."""
        for joined in self._every_joined:
            joined.forget_roundings()

    @property
    def _every_joined(self) -> list[Joined]:
        projections = (*self._projections, self.query, self.key_value)
        return [one.joined for one in projections if one.joined is not None]

    @property
    def _projections(self) -> tuple[Projection, ...]:
        """The projections that together have all parameters of the block, each once."""
        return (self.query_key_value, self.attention_output, self.up, self.down)

    @property
    def probabilities(self) -> list[float]:
        """The current probability of each dropout in the block."""
        residuals = (self.attention_residual, self.output_residual)
        return [
            active_probability(self.attention_dropout),
            *(active_probability(residual.dropout) for residual in residuals),
            *(
                adapter.probability
                for projection in self._projections
                if projection.joined is not None
                for adapter in projection.joined.adapters
            ),
        ]

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...] | None:
        """The parameters that its operations read; None if a module has to be called as it is."""
        found: list[nn.Parameter] = []
        for projection in self._projections:
            if projection.joined is None or projection.around is not None:
                return None
            found += projection.joined.parameters
        for residual in (self.attention_residual, self.output_residual):
            if not residual.is_plain:
                return None
            found += residual.norm.parameters()
        return tuple(found) if is_exact_gelu(self.activation) else None


def finish_block(
    block: Block,
    projections: tuple[Any, ...],
    x_RD: Any,
    rows: Rows,
    spans: Spans,
    keys: Keys,
) -> Program[Any]:
    """Compute all of a block after its projections."""
    probability = active_probability(block.attention_dropout)
    settings = AttentionSettings(
        heads=block.heads,
        spans=spans,
        key=keys(block.attention_site) if probability > 0 else 0,
        probability=probability,
    )
    context_RD = yield Call(Attention, settings, projections)
    (attended_RD,) = yield from block.attention_output.program(context_RD, rows, keys)
    x_RD = yield from block.attention_residual.program(attended_RD, x_RD, rows, keys)
    (inner_RF,) = yield from block.up.program(x_RD, rows, keys)
    if is_exact_gelu(block.activation):
        gelu = GeluSettings(has_backward=torch.is_grad_enabled())
        inner_RF = yield Call(Gelu, gelu, (inner_RF,))
    else:
        inner_RF = block.activation(inner_RF)
    (output_RD,) = yield from block.down.program(inner_RF, rows, keys)
    return (yield from block.output_residual.program(output_RD, x_RD, rows, keys))


def has_blocks(base: PreTrainedModel) -> bool:
    """Return whether the model has fused blocks."""
    return family_of(base.config.model_type).head is not None


def blocks_of(base: PreTrainedModel, site_of: SiteOf) -> list[Block]:
    """Return the model's blocks in order, for a model that has_blocks."""
    names = family_of(base.config.model_type).block
    return [_block(layer, names, site_of) for layer in layers_of(base)]


def encoder_of(base: PreTrainedModel) -> nn.Module:
    """Return the module that runs the layers, which may be the base model itself."""
    return base.base_model.get_submodule(family_of(base.config.model_type).encoder)


def layers_of(base: PreTrainedModel) -> list[nn.Module]:
    """Return the encoder's layers, in order."""
    return list(getattr(encoder_of(base), family_of(base.config.model_type).layer_list))


def embeddings_of(base: PreTrainedModel) -> list[nn.Module]:
    """Return the modules that compute the first block's input, in order; ELECTRA has two."""
    names = family_of(base.config.model_type).embeddings
    return [getattr(base.base_model, name) for name in names if hasattr(base.base_model, name)]


def num_frozen_blocks(base: PreTrainedModel) -> int:
    """Return the number of frozen blocks at the bottom: no parameter trains in or below them.

    A block that peft has changed is not counted, even if nothing in it trains.
    """
    if not all(_is_frozen(module) for module in embeddings_of(base)):
        return 0
    return len(list(takewhile(_is_frozen, layers_of(base))))


def _is_frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters()) and not any(
        type(child).__module__.startswith("peft.") for child in module.modules()
    )


def _block(layer: nn.Module, names: BlockNames, site_of: SiteOf) -> Block:
    """Return a layer's parts by their names."""

    def part(name: str) -> Any:
        return attrgetter(name)(layer)

    def projection(*parts: str) -> Projection:
        return Projection.of(*(part(name) for name in parts), site_of=site_of)

    def residual(dropout: str, norm: str) -> Residual:
        if not dropout:
            return Residual(dropout=None, norm=part(norm), site="")
        return Residual(dropout=part(dropout), norm=part(norm), site=site_of(part(dropout)))

    return Block(
        query_key_value=projection(names.query, names.key, names.value),
        query=projection(names.query),
        key_value=projection(names.key, names.value),
        heads=Heads(count=part(names.num_heads), scale=part(names.head_width) ** -0.5),
        attention_dropout=part(names.attention_dropout),
        attention_site=site_of(part(names.attention)),
        attention_output=projection(names.attention_output),
        attention_residual=residual(names.output_dropout, names.attention_norm),
        up=projection(names.up),
        activation=part(names.activation),
        down=projection(names.down),
        output_residual=residual(names.down_dropout, names.last_norm),
    )
