"""The fewest floating-point operations that a training step of an encoder needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftlab.core.measurements import ParameterCount

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """The sizes of an encoder: its layers, its width, and the width of its feed-forward part."""

    num_layers: int
    width: int
    inner_width: int

    @classmethod
    def of(cls, config: Any) -> EncoderShape:
        """Return the sizes that a transformers config gives, under its architecture's names."""
        width = int(config.hidden_size)
        inner = getattr(config, "intermediate_size", getattr(config, "hidden_dim", 4 * width))
        return cls(num_layers=int(config.num_hidden_layers), width=width, inner_width=int(inner))


@dataclass(frozen=True, kw_only=True)
class Operations:
    """The operations of training and evaluation, from an encoder's sizes and trained parts."""

    shape: EncoderShape
    trains_weights: bool
    trains_embeddings: bool
    num_frozen_layers: int = 0

    @classmethod
    def of_config(cls, config: Any, parameters: ParameterCount) -> Operations:
        """Return the operations as estimated from the config alone, without building the model.

        They assume that the embeddings train if the weights do, and that no layer is frozen.
        """
        trains_weights = _trains_weights(parameters)
        return cls(
            shape=EncoderShape.of(config),
            trains_weights=trains_weights,
            trains_embeddings=trains_weights,
        )

    @classmethod
    def of_model(cls, base: PreTrainedModel, parameters: ParameterCount) -> Operations | None:
        """Return the operations of a model under a method; None if its layers are not known."""
        from peftlab.models.fused.blocks import embeddings_of, has_blocks, num_frozen_blocks

        if not has_blocks(base):
            return None
        return cls(
            shape=EncoderShape.of(base.config),
            trains_weights=_trains_weights(parameters),
            trains_embeddings=any(
                parameter.requires_grad
                for module in embeddings_of(base)
                for parameter in module.parameters()
            ),
            num_frozen_layers=num_frozen_blocks(base),
        )

    def train_flops(self, lengths: Sequence[int]) -> float:
        """Return the operations of training once on examples of these lengths."""
        return step_flops(
            self.shape,
            lengths,
            trains_weights=self.trains_weights,
            trains_embeddings=self.trains_embeddings,
            num_frozen_layers=self.num_frozen_layers,
        )

    def eval_flops(self, lengths: Sequence[int]) -> float:
        """Return the operations of predicting examples of these lengths: the forward pass."""
        return step_flops(
            self.shape,
            lengths,
            trains_weights=False,
            trains_embeddings=False,
            num_frozen_layers=self.shape.num_layers,
        )


def _trains_weights(parameters: ParameterCount) -> bool:
    return 2 * parameters.backbone > parameters.total


def step_flops(
    shape: EncoderShape,
    lengths: Sequence[int],
    *,
    trains_weights: bool,
    trains_embeddings: bool,
    num_frozen_layers: int = 0,
) -> float:
    """Return the operations of one step on examples of these lengths.

    Only matrix products of real tokens are counted. The last layer needs keys and values of every
    token, and everything else at one token per example. The backward pass goes down to the
    projections of the lowest layer that is not frozen, and through them only if the embeddings
    below are trained; gradients of weights are counted if the weights train (those of biases and of
    low-rank adapters are small and left out). Dropout, normalisation, activations, the head and the
    optimizer are not counted. The result is a sum over examples: the steps of an epoch together
    have the operations of one step on all its examples.
    """
    width, inner = shape.width, shape.inner_width
    tokens, examples = float(sum(lengths)), float(len(lengths))
    projections = 2 * tokens * 3 * width * width
    rest = 2 * width * width + 4 * width * inner  # for one token, after the projections
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
