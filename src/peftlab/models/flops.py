"""Floating-point operations that a training step of an encoder cannot do without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """An encoder's sizes: layers, width, width of the feed-forward part."""

    num_layers: int
    width: int
    inner_width: int

    @classmethod
    def of(cls, config: Any) -> EncoderShape:
        """The sizes that a transformers config gives, under its architecture's names."""
        width = int(config.hidden_size)
        inner = getattr(config, "intermediate_size", getattr(config, "hidden_dim", 4 * width))
        return cls(num_layers=int(config.num_hidden_layers), width=width, inner_width=int(inner))


def forward_flops(shape: EncoderShape, lengths: Sequence[int]) -> float:
    """Operations of a forward pass on examples of these lengths: matrix products of real tokens.

    The last layer needs keys and values of every token and all else at one token an example.
    Dropout, normalisation and activations are not counted.
    """
    width, inner = shape.width, shape.inner_width
    tokens, examples = float(sum(lengths)), float(len(lengths))
    rest = 2 * width * width + 4 * width * inner  # of one token, after the projections
    layer = tokens * (6 * width * width + rest) + _pairs(shape, lengths)
    last = 4 * tokens * width * width + examples * (2 * width * width + rest) + 4 * width * tokens
    return (shape.num_layers - 1) * layer + last


def step_flops(
    shape: EncoderShape, lengths: Sequence[int], *, trains_weights: bool, trains_embeddings: bool
) -> float:
    """Operations of one step on examples of these lengths, counted as in `forward_flops`.

    The backward pass goes down to the first layer's projections, and through them only if what lies
    below is trained; gradients of weights are counted if the weights train (those of biases and
    of low-rank adapters are small and left out), and so is the optimizer.
    """
    width, tokens, examples = shape.width, float(sum(lengths)), float(len(lengths))
    projections = 6 * tokens * width * width
    pairs, forward = _pairs(shape, lengths), forward_flops(shape, lengths)
    backward = forward + (shape.num_layers - 1) * pairs + 4 * width * tokens
    if not trains_embeddings:
        lowest = 4 * tokens * width * width + 2 * examples * width * width
        backward -= projections if shape.num_layers > 1 else lowest
    weights = forward - (shape.num_layers - 1) * pairs - 4 * width * tokens
    return forward + backward + (weights if trains_weights else 0.0)


def _pairs(shape: EncoderShape, lengths: Sequence[int]) -> float:
    """Operations of one layer's attention: scores of all pairs of tokens, and their sums."""
    return 4 * shape.width * float(sum(length * length for length in lengths))
