"""The frozen weights of a model in 4 bits, as QLoRA keeps them (Dettmers et al. 2023, 2305.14314).

Done by bitsandbytes on an NVIDIA GPU: the type is NF4, products are computed in the type that the
weights had.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def quantize(model: PreTrainedModel) -> None:
    """Replace the base model's linear layers by 4-bit ones; the head stays as it is.

    They hold the weights as they are until the model is moved to a device, which must be one that
    holds them in 4 bits (engine/prepare.py asks it). On the device "meta" nothing is done: there
    are no weights, and parameters are counted as they are without.
    Raises UserError without bitsandbytes.
    """
    if next(model.parameters()).is_meta:
        return
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "quantization = 4bit needs bitsandbytes, which is not installed",
            remedy="pip install bitsandbytes, or quantization: null",
        )
    replace_linear_layers(model)


def replace_linear_layers(model: PreTrainedModel) -> None:
    """Replace the linear layers, as `quantize` does where it can be done."""
    from torch import nn

    bitsandbytes: Any = import_module("bitsandbytes").nn
    prefix = f"{model.base_model_prefix}."
    for name, module in list(model.named_modules()):
        if not name.startswith(prefix) or type(module) is not nn.Linear:
            continue
        quantized = bitsandbytes.Linear4bit(
            module.in_features,
            module.out_features,
            bias=module.bias is not None,
            compute_dtype=module.weight.dtype,
            quant_type="nf4",
        )
        quantized.weight = bitsandbytes.Params4bit(
            module.weight.detach(), requires_grad=False, quant_type="nf4"
        )
        quantized.bias = module.bias
        model.set_submodule(name, quantized)
    model.is_loaded_in_4bit = True  # type: ignore[assignment]


def is_quantized(model: Any) -> bool:
    """Return whether `quantize` was applied to the model, or to the one that peft wraps."""
    return bool(getattr(model, "is_loaded_in_4bit", False))
