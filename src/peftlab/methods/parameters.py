"""Parameter accounting: how many train, where they are, in our counting and in peft's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from pydantic import JsonValue

from peftlab.core.errors import UserError
from peftlab.core.measurements import ParameterCount
from peftlab.methods.fit import require_fit
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import build_on_meta
from peftlab.models.head import head_parameter_names
from peftlab.models.layers import layers_below_top

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

HEAD_COPY = ".modules_to_save."
FROZEN_ORIGINAL = ".original_module."


def count_parameters(
    model: str, method: str, config: Mapping[str, JsonValue], *, num_labels: int = 2
) -> ParameterCount:
    """Return the counts of a method on a checkpoint, from its config alone (no weights are read).

    Raises UserError where the method cannot work on the architecture.
    """
    plain = build_on_meta(model, num_labels=num_labels)
    names = frozenset(name for name, _ in plain.named_parameters())
    head = frozenset(head_parameter_names(plain))
    _, module = _applied(model, method, config, num_labels=num_labels)
    require_fit(plain, module, method=method)
    return count_module(module, own=names, head=head)


def num_frozen_layers(model: str, method: str, config: Mapping[str, JsonValue]) -> int | None:
    """Return how many of the lowest layers a method leaves unchanged.

    0 where the embeddings or the first layer train; None where the architecture's layers cannot
    be run in part. Raises UserError where the config cannot be had or the method does not fit.
    """
    from peftlab.models.fused.blocks import has_blocks, num_frozen_blocks
    from peftlab.models.packing import why_not_packed

    plain = build_on_meta(model, num_labels=2)
    if not has_blocks(plain) or why_not_packed(plain) is not None:
        return None
    base, _ = _applied(model, method, config, num_labels=2)
    return num_frozen_blocks(base)


def trained_depth(model: str, method: str, config: Mapping[str, JsonValue]) -> int:
    """Return how many layers below the last one the lowest trained parameter is.

    It is 0 where nothing but the last layer, the head and what is beside all layers is trained.
    Raises UserError where the architecture has no layers one above another.
    """
    base, _ = _applied(model, method, config, num_labels=2)
    levels = layers_below_top(base)
    return max(
        (levels[name] for name, one in base.named_parameters() if one.requires_grad), default=0
    )


def _applied(
    model: str, method: str, config: Mapping[str, JsonValue], *, num_labels: int
) -> tuple[PreTrainedModel, nn.Module]:
    """Return the checkpoint's shapes, and the method on them.

    Without numbers where that will do, else with made-up ones: some methods decompose the weights.
    """
    base = build_on_meta(model, num_labels=num_labels)
    try:
        return base, METHODS.get(method).apply(base, config, seed=0)
    except UserError:
        base = build_on_meta(model, num_labels=num_labels).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.normal_(std=0.02, generator=generator)
    return base, METHODS.get(method).apply(base, config, seed=0)


def count_module(module: nn.Module, *, own: frozenset[str], head: frozenset[str]) -> ParameterCount:
    """Return the counts of a model with a method on it.

    `own` are the names of all parameters before the method was applied, `head` those of the
    head. peft wraps and copies modules; a copy counts where its original does.
    """
    trainable = {"backbone": 0, "adapter": 0, "head": 0}
    total = duplicated = 0
    for name, parameter in module.named_parameters():
        size = _num_elements(parameter)
        if FROZEN_ORIGINAL in name:
            duplicated += size
            continue
        total += size
        if parameter.requires_grad:
            original = _original_name(name, own)
            kind = "head" if original in head else "backbone" if original in own else "adapter"
            trainable[kind] += size
    return ParameterCount(
        trainable=sum(trainable.values()),
        total=total,
        total_peft_counting=total + duplicated,
        **trainable,
    )


def _num_elements(parameter: nn.Parameter) -> int:
    """Return how many numbers the parameter holds: bitsandbytes keeps two 4-bit ones in an
    element."""
    quantized = getattr(parameter, "quant_state", None)
    return parameter.numel() if quantized is None else math.prod(quantized.shape)


def _original_name(name: str, own: frozenset[str]) -> str:
    """Return a parameter's name before peft wrapped the model, whose own names then were.

    >>> own = frozenset({"classifier.weight", "model.norm.weight"})
    >>> _original_name("base_model.model.classifier.modules_to_save.default.weight", own)
    'classifier.weight'
    >>> _original_name("base_model.classifier.modules_to_save.default.weight", own)
    'classifier.weight'
    >>> _original_name("model.norm.weight", own)
    'model.norm.weight'
    """
    if HEAD_COPY in name:
        module, _, rest = name.partition(HEAD_COPY)
        name = f"{module}.{rest.partition('.')[2]}"
    name = name.replace(".base_layer.", ".")
    # Methods that only prepend something to the text have no model of their own in between, and
    # the names of many architectures begin with "model." by themselves.
    inner = name.removeprefix("base_model.")
    return next((one for one in (name, inner) if one in own), inner.removeprefix("model."))
