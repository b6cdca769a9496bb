"""The recomputation of layers in the backward pass, so that their activations are not kept.

The dropout masks are drawn by a counter (dropout.py), and the state of torch's generator is
restored, so that recomputation gives the same bits. It saves memory at the cost of time; no number
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from peftlab.models.dropout import CounterDropout
from peftlab.models.layers import layer_names

WORDS = "layers recomputed"
"""The words for recomputed layers in a model's `path`."""


@contextmanager
def layers_recomputed(base: PreTrainedModel, dropout: CounterDropout) -> Iterator[None]:
    """Make the model's own layers recompute their activations in the backward pass.

    Raises UserError if the model has no ordered list of layers.
    """
    layers = [base.get_submodule(name) for name in layer_names(base)]
    for layer in layers:
        layer.forward = _recomputing(layer, dropout)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _recomputing(layer: nn.Module, dropout: CounterDropout) -> Callable[..., Any]:
    forward = layer.forward

    def run(*inputs: Any, **named: Any) -> Any:
        if not (layer.training and torch.is_grad_enabled()):
            return forward(*inputs, **named)
        again = dropout.repeatable(forward)
        return checkpoint(again, *inputs, use_reentrant=False, **named)

    return run


def recomputed(
    run: Callable[[Tensor], Tensor],
    x: Tensor,
    dropout: CounterDropout,
    read: Iterable[nn.Parameter],
) -> Tensor:
    """Return run(x), where `run` reads these parameters and nothing else that needs a gradient.

    It is run again when its gradient is computed. Unlike in `layers_recomputed`, it may consist of
    operations that keep their results outside of autograd.
    """
    trains = any(parameter.requires_grad for parameter in read)
    if not torch.is_grad_enabled() or not (trains or x.requires_grad):
        return run(x)
    given = x if x.requires_grad else x.detach().requires_grad_()
    return cast(Tensor, checkpoint(dropout.repeatable(run), given, use_reentrant=True))
