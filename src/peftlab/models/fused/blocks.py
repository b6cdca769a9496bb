"""Encoder blocks with LayerNorm after each residual sum, run on a packed batch.

Transformers' modules stay as they are and keep their weights; only the order in which a block
calls them is written here, so that the kernels can stand between them. A projection that peft
wraps in something other than plain LoRA is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from transformers import PreTrainedModel

from peftlab.models.fused.attention import Attention, AttentionSettings, Heads, Spans
from peftlab.models.fused.dropout import active_probability
from peftlab.models.fused.gelu import Gelu, GeluSettings, is_exact_gelu
from peftlab.models.fused.linear import Joined, JoinedLinear, Keys, LinearSettings, SiteOf, join
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings, is_plain_norm
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.tape import Run


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Modules that read the same rows, and how to compute them as one where that is possible."""

    modules: tuple[nn.Module, ...]
    joined: Joined | None

    @classmethod
    def of(cls, *modules: nn.Module, site_of: SiteOf) -> Projection:
        """The projection by these modules."""
        return cls(modules=modules, joined=join(modules, site_of))

    def __call__(self, run: Run, x_RD: Any, rows: Rows, keys: Keys) -> tuple[Any, ...]:
        """One value with all outputs side by side, or one of each module."""
        if self.joined is not None:
            return (run(JoinedLinear, LinearSettings.of(self.joined, rows, keys), x_RD),)
        return tuple(module(x_RD) for module in self.modules)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """What follows a sublayer: norm(residual + dropout(x)), with no dropout in some models."""

    dropout: nn.Dropout | None
    norm: nn.Module
    site: str

    @property
    def is_plain(self) -> bool:
        """Whether the kernels can compute it."""
        return is_plain_norm(self.norm)

    def __call__(self, run: Run, x_RD: Any, residual_RD: Any, rows: Rows, keys: Keys) -> Any:
        """The sum, normalised."""
        if self.is_plain:
            probability = active_probability(self.dropout)
            settings = NormSettings(
                norm=cast(nn.LayerNorm, self.norm),
                rows=rows,
                key=keys(self.site) if probability > 0 else 0,
                probability=probability,
            )
            return run(DropoutAddNorm, settings, x_RD, residual_RD)
        x_RD = x_RD if self.dropout is None else self.dropout(x_RD)
        return self.norm(residual_RD + x_RD)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One encoder block by its parts."""

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
    def probabilities(self) -> list[float]:
        """How likely each of its dropouts drops an element now."""
        projections = (self.query_key_value, self.attention_output, self.up, self.down)
        residuals = (self.attention_residual, self.output_residual)
        return [
            active_probability(self.attention_dropout),
            *(active_probability(residual.dropout) for residual in residuals),
            *(
                adapter.probability
                for projection in projections
                if projection.joined is not None
                for adapter in projection.joined.adapters
            ),
        ]

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...] | None:
        """All that its operations read; None if a module of it has to be called as it is."""
        found: list[nn.Parameter] = []
        for projection in (self.query_key_value, self.attention_output, self.up, self.down):
            if projection.joined is None:
                return None
            found += projection.joined.parameters
        for residual in (self.attention_residual, self.output_residual):
            if not residual.is_plain:
                return None
            found += residual.norm.parameters()
        return tuple(found) if is_exact_gelu(self.activation) else None


def finish_block(
    run: Run,
    block: Block,
    projections: tuple[Any, ...],
    x_RD: Any,
    rows: Rows,
    spans: Spans,
    keys: Keys,
) -> Any:
    """All of a block after its projections."""
    probability = active_probability(block.attention_dropout)
    settings = AttentionSettings(
        heads=block.heads,
        spans=spans,
        key=keys(block.attention_site) if probability > 0 else 0,
        probability=probability,
    )
    context_RD = run(Attention, settings, *projections)
    (attended_RD,) = block.attention_output(run, context_RD, rows, keys)
    x_RD = block.attention_residual(run, attended_RD, x_RD, rows, keys)
    (inner_RF,) = block.up(run, x_RD, rows, keys)
    if is_exact_gelu(block.activation):
        inner_RF = run(Gelu, GeluSettings(has_backward=torch.is_grad_enabled()), inner_RF)
    else:
        inner_RF = block.activation(inner_RF)
    (output_RD,) = block.down(run, inner_RF, rows, keys)
    return block.output_residual(run, output_RD, x_RD, rows, keys)


def blocks_of(base: PreTrainedModel, site_of: SiteOf) -> list[Block] | None:
    """The model's blocks in order, or None where its architecture has other ones."""
    reader = READERS.get(base.config.model_type)
    if reader is None:
        return None
    return [reader.block(layer, site_of) for layer in layers_of(base)]


def encoder_of(base: PreTrainedModel) -> nn.Module:
    """The module that runs the blocks; it is the base model itself where they lie in that."""
    inner: Any = base.base_model
    for name in ("transformer", "encoder"):
        if hasattr(inner, name):
            return cast(nn.Module, getattr(inner, name))
    return cast(nn.Module, inner)


def layers_of(base: PreTrainedModel) -> list[nn.Module]:
    """The encoder's layers, in order."""
    return list(encoder_of(base).layer)  # type: ignore[arg-type]


def embeddings_of(base: PreTrainedModel) -> list[nn.Module]:
    """The modules that make the first block's input, in order; ELECTRA's widen it in a second."""
    inner: Any = base.base_model
    widened = [inner.embeddings_project] if hasattr(inner, "embeddings_project") else []
    return [inner.embeddings, *widened]


def num_frozen_blocks(base: PreTrainedModel) -> int:
    """How many leading blocks are the checkpoint's own: no parameter trains there or below.

    A block that peft has put something into is not counted even where nothing in it trains.
    """
    if not all(_is_frozen(module) for module in embeddings_of(base)):
        return 0
    return len(list(takewhile(_is_frozen, layers_of(base))))


def _is_frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters()) and not any(
        type(child).__module__.startswith("peft.") for child in module.modules()
    )


def _read_bert(layer: Any, site_of: SiteOf) -> Block:
    inner, output = layer.attention.self, layer.attention.output
    return Block(
        query_key_value=Projection.of(inner.query, inner.key, inner.value, site_of=site_of),
        query=Projection.of(inner.query, site_of=site_of),
        key_value=Projection.of(inner.key, inner.value, site_of=site_of),
        heads=Heads(count=inner.num_attention_heads, scale=inner.attention_head_size**-0.5),
        attention_dropout=inner.dropout,
        attention_site=site_of(inner),
        attention_output=Projection.of(output.dense, site_of=site_of),
        attention_residual=Residual(
            dropout=output.dropout, norm=output.LayerNorm, site=site_of(output.dropout)
        ),
        up=Projection.of(layer.intermediate.dense, site_of=site_of),
        activation=layer.intermediate.intermediate_act_fn,
        down=Projection.of(layer.output.dense, site_of=site_of),
        output_residual=Residual(
            dropout=layer.output.dropout,
            norm=layer.output.LayerNorm,
            site=site_of(layer.output.dropout),
        ),
    )


def _read_distilbert(layer: Any, site_of: SiteOf) -> Block:
    inner, ffn = layer.attention, layer.ffn
    return Block(
        query_key_value=Projection.of(inner.q_lin, inner.k_lin, inner.v_lin, site_of=site_of),
        query=Projection.of(inner.q_lin, site_of=site_of),
        key_value=Projection.of(inner.k_lin, inner.v_lin, site_of=site_of),
        heads=Heads(count=inner.n_heads, scale=inner.attention_head_size**-0.5),
        attention_dropout=inner.dropout,
        attention_site=site_of(inner),
        attention_output=Projection.of(inner.out_lin, site_of=site_of),
        attention_residual=Residual(dropout=None, norm=layer.sa_layer_norm, site=""),
        up=Projection.of(ffn.lin1, site_of=site_of),
        activation=ffn.activation,
        down=Projection.of(ffn.lin2, site_of=site_of),
        output_residual=Residual(
            dropout=ffn.dropout, norm=layer.output_layer_norm, site=site_of(ffn.dropout)
        ),
    )


def _pooled_head(base: Any, x_BD: Tensor) -> Tensor:
    logits_BC: Tensor = base.classifier(base.dropout(base.base_model.pooler(x_BD[:, None])))
    return logits_BC


def _head_of_tokens(base: Any, x_BD: Tensor) -> Tensor:
    logits_BC: Tensor = base.classifier(x_BD[:, None])
    return logits_BC


def _distilbert_head(base: Any, x_BD: Tensor) -> Tensor:
    logits_BC: Tensor = base.classifier(base.dropout(relu(base.pre_classifier(x_BD))))
    return logits_BC


@dataclass(frozen=True)
class Reader:
    """How an architecture's modules are called.

    `block` makes a block of one of its layers; `head` makes logits [B, C] of the model and of the
    last block's output at the first tokens, [B, D].
    """

    block: Callable[[Any, SiteOf], Block]
    head: Callable[[Any, Tensor], Tensor]


READERS: dict[str, Reader] = {
    "bert": Reader(_read_bert, _pooled_head),
    "roberta": Reader(_read_bert, _head_of_tokens),
    "xlm-roberta": Reader(_read_bert, _head_of_tokens),
    "camembert": Reader(_read_bert, _head_of_tokens),
    "electra": Reader(_read_bert, _head_of_tokens),
    "distilbert": Reader(_read_distilbert, _distilbert_head),
}
"""The architectures whose blocks are run here, by transformers' names."""
