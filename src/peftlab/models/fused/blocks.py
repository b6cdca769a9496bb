"""Encoder blocks with LayerNorm after each residual sum, run on a packed batch.

Transformers' modules stay as they are and keep their weights; only the order in which a block
calls them is written here, so that the kernels can stand between them. A projection that peft
wraps in something other than plain LoRA is called as it is.

The last block computes keys and values of every token but everything else at the pooled tokens
only: what the classifier does not read has no effect on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.models.fused.attention import Heads, Spans, attention
from peftlab.models.fused.dropout import active_probability
from peftlab.models.fused.gelu import activated
from peftlab.models.fused.linear import Joined, Keys, join, joined_linear
from peftlab.models.fused.norm import dropout_add_norm
from peftlab.models.fused.rows import Rows

SiteOf = Callable[[nn.Module], str]


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Modules that read the same rows, and how to compute them as one where that is possible."""

    modules: tuple[nn.Module, ...]
    joined: Joined | None

    @classmethod
    def of(cls, *modules: nn.Module, site_of: SiteOf) -> Projection:
        """The projection by these modules."""
        is_stock = len(modules) == 1 and type(modules[0]) is nn.Linear
        return cls(modules=modules, joined=None if is_stock else join(modules, site_of))

    def __call__(self, x_RD: Tensor, rows: Rows, keys: Keys) -> tuple[Tensor, ...]:
        """One tensor with all outputs side by side, or one of each module."""
        if self.joined is not None:
            return (joined_linear(x_RD, self.joined, rows, keys),)
        return tuple(module(x_RD) for module in self.modules)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """What follows a sublayer: norm(residual + dropout(x)), with no dropout in some models."""

    dropout: nn.Dropout | None
    norm: nn.Module
    site: str

    def __call__(self, x_RD: Tensor, residual_RD: Tensor, rows: Rows, keys: Keys) -> Tensor:
        """The sum, normalised."""
        probability = active_probability(self.dropout)
        if type(self.norm) is nn.LayerNorm:
            key = keys(self.site) if probability > 0 else 0
            return dropout_add_norm(x_RD, residual_RD, self.norm, rows, key, probability)
        x_RD = x_RD if self.dropout is None else self.dropout(x_RD)
        normed: Tensor = self.norm(residual_RD + x_RD)
        return normed


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


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the rows of a packed batch come from, and where its pooled tokens are."""

    token_rows: Rows
    pooled_rows: Rows
    token_spans: Spans
    pooled_spans: Spans
    pooled_B: Tensor


def run_blocks(
    blocks: list[Block],
    x_TD: Tensor,
    places: Places,
    keys: Keys,
    *,
    first: int = 0,
    end: int | None = None,
) -> Tensor:
    """The last block's output at the pooled tokens, [B, D].

    With `first`, x is what the blocks before that one have made of the tokens: [T, D], and after
    all blocks [B, D]. With `end`, the same after the blocks before that one only.
    """
    end = len(blocks) if end is None else end
    for block in blocks[first : min(end, len(blocks) - 1)]:
        projections = block.query_key_value(x_TD, places.token_rows, keys)
        x_TD = _finish(block, projections, x_TD, places.token_rows, places.token_spans, keys)
    if end < len(blocks) or first == end:
        return x_TD
    block = blocks[-1]
    x_BD = x_TD[places.pooled_B]
    projections = (
        *block.query(x_BD, places.pooled_rows, keys),
        *block.key_value(x_TD, places.token_rows, keys),
    )
    return _finish(block, projections, x_BD, places.pooled_rows, places.pooled_spans, keys)


def _finish(
    block: Block,
    projections: tuple[Tensor, ...],
    x_RD: Tensor,
    rows: Rows,
    spans: Spans,
    keys: Keys,
) -> Tensor:
    """All of a block after its projections."""
    probability = active_probability(block.attention_dropout)
    key = keys(block.attention_site) if probability > 0 else 0
    context_RD = attention(projections, block.heads, spans, key, probability)
    (attended_RD,) = block.attention_output(context_RD, rows, keys)
    x_RD = block.attention_residual(attended_RD, x_RD, rows, keys)
    (inner_RF,) = block.up(x_RD, rows, keys)
    (output_RD,) = block.down(activated(block.activation, inner_RF), rows, keys)
    return block.output_residual(output_RD, x_RD, rows, keys)


def blocks_of(base: PreTrainedModel, site_of: SiteOf) -> list[Block] | None:
    """The model's blocks in order, or None where its architecture has other ones."""
    reader = READERS.get(base.config.model_type)
    if reader is None:
        return None
    return [reader(layer, site_of) for layer in layers_of(base)]


def encoder_of(base: PreTrainedModel) -> nn.Module:
    """The module that runs the blocks."""
    inner: Any = base.base_model
    encoder: nn.Module = inner.transformer if hasattr(inner, "transformer") else inner.encoder
    return encoder


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


# How each architecture's blocks are read: the names that transformers gives their parts.
READERS: dict[str, Callable[[Any, SiteOf], Block]] = {
    "bert": _read_bert,
    "roberta": _read_bert,
    "xlm-roberta": _read_bert,
    "camembert": _read_bert,
    "electra": _read_bert,
    "distilbert": _read_distilbert,
}
