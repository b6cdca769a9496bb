"""The record of an architecture: how it is computed, and what its modules are called.

A `Family` is a row of the table in families.py. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Way(StrEnum):
    """The way in which batches of a family are computed."""

    FUSED = "packed, fused blocks"
    STOCK = "packed, stock blocks"
    PADDED = "padded"


class Pooling(StrEnum):
    """The part of an example's states that the classifier reads."""

    FIRST = "first token"
    LAST = "last token"
    MEAN = "mean of all tokens"
    AS_CONFIGURED = "first token or mean, by its config"


@dataclass(frozen=True, kw_only=True)
class LayerNames:
    """The names of modules within a layer; empty if it has no such module."""

    query: str = ""
    query_bias: str = ""
    """The parameter that is the query's bias, where it is not the bias of a module."""
    attention_output: str = ""
    """The last projection of the attention."""
    up: str = ""
    """The first layer of the feed-forward part."""
    down: str
    """The last layer of the feed-forward part."""
    last_norm: str = ""
    """The norm that follows the sum behind the feed-forward part."""

    @property
    def query_bias_ending(self) -> str:
        """The ending of the names of query biases; empty if queries have no projection."""
        return self.query_bias or (self.query and f"{self.query.rpartition('.')[2]}.bias")

    @property
    def up_bias_ending(self) -> str:
        """The ending of the names of the biases of the feed-forward part's first layer."""
        return self.up and f"{self.up}.bias"


@dataclass(frozen=True, kw_only=True)
class BlockNames(LayerNames):
    """All names that a fused block needs (fused/blocks.py): LayerNorm follows each residual sum."""

    key: str
    value: str
    attention: str
    """The module that calls the attention function."""
    num_heads: str
    """An attribute of the layer, as `head_width` and `activation` are."""
    head_width: str
    attention_dropout: str
    output_dropout: str = ""
    """The dropout behind the attention's last projection; empty if there is none."""
    attention_norm: str
    activation: str
    down_dropout: str


HeadForward = Callable[[Any, Any], Any]
"""head(model, states of the pooled tokens [B, D]) -> logits [B, C]."""


def one_token(config: Any) -> int:
    """Return 1: a row may be as short as one token."""
    return 1


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture by transformers' name for it.

    With a `head` its blocks are fused, and `layers` are the BlockNames of one kind of layer.
    """

    model_type: str
    title: str = ""
    is_tested: bool = True
    why_padded: str = ""
    """The reason why its batches are padded, in a few words; empty if they are packed."""

    # The layers.
    layers: tuple[LayerNames, ...] = ()
    """The names that a layer's modules may have; the first that the model has are meant."""
    encoder: str = "encoder"
    """The module of the base model that runs the layers; empty where that is the base itself."""
    layer_list: str = "layer"
    """The encoder's list of layers, where they are fused."""
    embeddings: tuple[str, ...] = ("embeddings",)
    """The modules of the base model before fused layers; those that a model lacks are left out."""
    position_norms: tuple[str, ...] = ()
    """Norms of the base model outside of its layers, of positions that all of them read."""
    has_own_attention: bool = False
    """Whether its attention function cannot be replaced by ours."""
    target_modules: tuple[str, ...] = ()
    """Where peft's methods go by default; only for an architecture that peft's LoRA knows nothing
    of. As for BERT, the query and value projections."""

    # The head.
    pooling: Pooling = Pooling.FIRST
    head: HeadForward | None = None
    """The function that calls a classifier's own modules behind fused layers."""
    outputs: tuple[str, ...] = ("classifier",)
    """The module of its classifier that gives the logits: no pretraining leaves such a one. Several
    where it is not known which."""
    pretrained_before_output: tuple[str, ...] = ()
    """Modules of a classifier's head that come from pretraining, as BERT's pooler does."""

    # The rows.
    positions_after_padding: bool = False
    """Whether positions are numbered from pad_token_id + 1 on, as fairseq did."""
    types_as_words: bool = False
    """Whether token types are looked up in the table of the words: type 1 is the vector of token
    1."""
    pads_in_front: bool = False
    """Whether the classifier reads the last place of the row, whatever stands there."""
    shows_padding: bool = False
    """Whether a row's logits may change with the padding behind it."""
    shortest_row: Callable[[Any], int] = one_token
    """shortest_row(config): how many tokens a row is padded to at least."""

    @property
    def way(self) -> Way:
        """The way in which its batches are computed."""
        if self.why_padded:
            return Way.PADDED
        return Way.STOCK if self.head is None else Way.FUSED

    def summary(self) -> dict[str, str]:
        """Return the object of `peftlab list architectures --json`."""
        return {
            "model_type": self.model_type,
            "title": self.title,
            "way": self.way,
            "pooling": self.pooling,
            "why_padded": self.why_padded,
            "output": self.outputs[0],
        }

    @property
    def block(self) -> BlockNames:
        """The names of a fused block."""
        (names,) = self.layers
        assert isinstance(names, BlockNames), f"{self.model_type} has no fused blocks"
        return names

    def pooling_by(self, config: Any) -> Pooling:
        """Return the pooling of the classifiers of that transformers config."""
        if self.pooling is not Pooling.AS_CONFIGURED:
            return self.pooling
        return Pooling.MEAN if config.classifier_pooling == "mean" else Pooling.FIRST

    def first_position(self, config: Any) -> int:
        """Return the number of an example's first position."""
        return int(config.pad_token_id) + 1 if self.positions_after_padding else 0

    def holds_head(self, names: Container[str]) -> bool:
        """Return whether the output of a sequence classifier is among tensors of these names."""
        return any(f"{output}.weight" in names for output in self.outputs)
