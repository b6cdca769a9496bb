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


def step_flops(
    shape: EncoderShape,
    lengths: Sequence[int],
    *,
    trains_weights: bool,
    trains_embeddings: bool,
    num_frozen_layers: int = 0,
) -> float:
    """Operations of one step on examples of these lengths: matrix products of real tokens only.

    The last layer needs keys and values of every token and all else at one token an example. The
    backward pass goes down to the projections of the lowest layer that is not among the frozen
    ones, and through them only if what lies below is trained; gradients of weights are counted if
    the weights train (those of biases and of low-rank adapters are small and left out). Dropout,
    normalisation, activations, the head and the optimizer are not counted. A sum over examples:
    the steps of an epoch together have the operations of one step on all its examples.
    """
    width, inner = shape.width, shape.inner_width
    tokens, examples = float(sum(lengths)), float(len(lengths))
    projections = 2 * tokens * 3 * width * width
    rest = 2 * width * width + 4 * width * inner  # of one token, after the projections
    pairs = 4 * width * float(sum(length * length for length in lengths))
    layer = projections + tokens * rest + pairs
    last = 4 * tokens * width * width + examples * (2 * width * width + rest) + 4 * width * tokens
    forward = (shape.num_layers - 1) * layer + last
    num_trained = shape.num_layers - num_frozen_layers
    if num_trained == 0:
        return forward
    of_trained = (num_trained - 1) * layer + last
    attention = (num_trained - 1) * pairs + 4 * width * tokens
    backward = of_trained + attention
    if not trains_embeddings:
        lowest = 4 * tokens * width * width + 2 * examples * width * width
        backward -= projections if num_trained > 1 else lowest
    weights = of_trained - attention
    return forward + backward + (weights if trains_weights else 0.0)
