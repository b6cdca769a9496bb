"""The record of an architecture: how it is computed, and the names of its modules.

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
    """The names of modules within a layer; a name is empty if the layer has no such module."""

    query: str = ""
    query_bias: str = ""
    """The parameter that is the query's bias, if that is not the bias of a module."""
    attention_output: str = ""
    """The last projection of the attention."""
    up: str = ""
    """The first layer of the feed-forward part."""
    down: str
    """The last layer of the feed-forward part."""
    last_norm: str = ""
    """The norm that follows the residual sum after the feed-forward part."""

    @property
    def query_bias_ending(self) -> str:
        """The ending of the names of query biases; empty if there is no query projection."""
        return self.query_bias or (self.query and f"{self.query.rpartition('.')[2]}.bias")

    @property
    def up_bias_ending(self) -> str:
        """The ending of the names of the biases in the feed-forward part's first layer."""
        return self.up and f"{self.up}.bias"


@dataclass(frozen=True, kw_only=True)
class BlockNames(LayerNames):
    """The names of the modules that a fused block calls (fused/blocks.py)."""

    key: str
    value: str
    attention: str
    """The module that calls the attention function."""
    num_heads: str
    """An attribute of the layer, like `head_width` and `activation`."""
    head_width: str
    attention_dropout: str
    output_dropout: str = ""
    """The dropout after the attention's last projection; empty if there is none."""
    attention_norm: str
    activation: str
    down_dropout: str


Head = Callable[[Any, Any], Any]
"""The type of head(model, states of the pooled tokens [B, D]), which returns logits [B, C]."""


def one_token(config: Any) -> int:
    """Return 1: a row may be as short as one token."""
    return 1


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture, under transformers' name for it.

    If `head` is given, its blocks are fused, and `layers` holds the BlockNames of its one kind of
    layer.
    """

    model_type: str
    title: str = ""
    is_tested: bool = True
    why_padded: str = ""
    """The reason why its batches are padded, in a few words; empty if they are packed."""

    # The layers.
    layers: tuple[LayerNames, ...] = ()
    """The names that a layer's modules may have; the first that occur in the model are used."""
    encoder: str = "encoder"
    """The module of the base model that runs the layers; empty if it is the base model itself."""
    layer_list: str = "layer"
    """The encoder's list of layers, if they are fused."""
    embeddings: tuple[str, ...] = ("embeddings",)
    """The modules of the base model before fused layers; any that a model lacks are skipped."""
    position_norms: tuple[str, ...] = ()
    """Norms outside the base model's layers, of position embeddings that all layers read."""
    has_own_attention: bool = False
    """Whether its attention function cannot be replaced by ours."""
    target_modules: tuple[str, ...] = ()
    """The default target modules of peft's methods, for architectures that peft's LoRA does not
    know: as for BERT, the query and value projections."""

    # The head.
    pooling: Pooling = Pooling.FIRST
    head: Head | None = None
    """The function that calls a classifier's own modules after fused layers."""
    outputs: tuple[str, ...] = ("classifier",)
    """The module of its classifier that gives the logits, which no pretrained model has; several
    names if it is not known which applies."""
    pretrained_before_output: tuple[str, ...] = ()
    """Modules of a classifier's head that come from pretraining, as BERT's pooler does."""

    # The rows.
    positions_after_padding: bool = False
    """Whether positions are numbered from pad_token_id + 1, as in fairseq."""
    types_as_words: bool = False
    """Whether token types are looked up in the word embedding: type 1 has the vector of token 1."""
    pads_in_front: bool = False
    """Whether the classifier reads the last place of the row, even if that is padding."""
    shows_padding: bool = False
    """Whether a row's logits may depend on the padding after it."""
    shortest_row: Callable[[Any], int] = one_token
    """The function from a config to the fewest tokens to which a row is padded."""

    @property
    def way(self) -> Way:
        """The way in which its batches are computed."""
        if self.why_padded:
            return Way.PADDED
        return Way.STOCK if self.head is None else Way.FUSED

    def summary(self) -> dict[str, str]:
        """Return the object for this architecture in `peftlab list architectures --json`."""
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
        """The names of the modules in a fused block."""
        (names,) = self.layers
        assert isinstance(names, BlockNames), f"{self.model_type} has no fused blocks"
        return names

    def pooling_by(self, config: Any) -> Pooling:
        """Return the pooling of classifiers with this transformers config."""
        if self.pooling is not Pooling.AS_CONFIGURED:
            return self.pooling
        return Pooling.MEAN if config.classifier_pooling == "mean" else Pooling.FIRST

    def first_position(self, config: Any) -> int:
        """Return the position number of an example's first token."""
        return int(config.pad_token_id) + 1 if self.positions_after_padding else 0

    def holds_head(self, names: Container[str]) -> bool:
        """Return whether a sequence classifier's output layer is among tensors of these names."""
        return any(f"{output}.weight" in names for output in self.outputs)
