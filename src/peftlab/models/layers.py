"""The parts of a model that methods refer to, found by its structure: layers, norms, embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.words import counted
from peftlab.models.families import family_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def layer_names(model: PreTrainedModel) -> list[str]:
    """Return the names of the base model's layers, lowest first: bert.encoder.layer.0 and so on.

    They are the entries of the module list that has as many entries as the config has layers.
    Raises UserError if there is no such list, as in ALBERT, which passes through one layer many
    times.
    """
    from torch import nn

    config = model.config
    count = getattr(config.get_text_config(), "num_hidden_layers", None)
    prefix = f"{model.base_model_prefix}."
    found: list[str] = []
    for name, module in model.named_modules():
        is_list = isinstance(module, nn.ModuleList) and name.startswith(prefix)
        if is_list and len(module) == count and not any(name.startswith(f"{n}.") for n in found):
            found.append(name)
    if len(found) != 1 or getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"the architecture {config.model_type} has no layers one above another to choose from",
            allowed="an encoder or a decoder whose layers have weights of their own",
        )
    return [f"{found[0]}.{index}" for index in range(count or 0)]


def norm_parameter_names(model: PreTrainedModel) -> set[str]:
    """Return the parameters of all normalisation layers: modules of a class named norm."""
    return {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if "norm" in type(module).__name__.lower()
        for name, _ in module.named_parameters(recurse=False)
    }


def embedding_parameter_names(model: PreTrainedModel) -> set[str]:
    """Return the names of the parameters that embed: tables, and modules named after embedding.

    BERT: word, position and type embeddings, and the norm behind them. GPT-2: wte and wpe.
    """
    from torch import nn

    prefix = f"{model.base_model_prefix}."
    tables = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        for name, _ in module.named_parameters(recurse=False)
    }
    return {
        name
        for name, _ in model.named_parameters()
        if name in tables or (name.startswith(prefix) and "embed" in name[len(prefix) :])
    }


def top_parameter_names(model: PreTrainedModel, num_layers: int) -> set[str]:
    """Return the parameters of the uppermost layers and of the modules above: last norm, pooler.

    Raises UserError if the model has fewer layers, or if its layers are not found.
    """
    layers = layer_names(model)
    if not 1 <= num_layers <= len(layers):
        raise UserError(
            f"{counted(num_layers, 'uppermost layer')} asked for, the model has {len(layers)}",
            allowed=f"1 to {len(layers)}",
        )
    names = [name for name, _ in model.named_parameters()]
    of_layers = tuple(f"{layer}." for layer in layers)
    outside = {name for name in names if not name.startswith(of_layers)}
    last_norms = norm_parameter_names(model) - embedding_parameter_names(model)
    of_positions = tuple(
        f"{model.base_model_prefix}.{norm}."
        for norm in family_of(model.config.model_type).position_norms
    )
    above = {
        name
        for name in outside
        if ".pooler." in name or (name in last_norms and not name.startswith(of_positions))
    }
    of_top = tuple(f"{layer}." for layer in layers[-num_layers:])
    return above | {name for name in names if name.startswith(of_top)}


def layers_below_top(model: PreTrainedModel) -> dict[str, int]:
    """Return how many layers each parameter is below the last layer.

    It is 0 in the last layer and for everything above it, such as a pooler and the head. For
    everything below the first layer, such as the embeddings, it is the number of layers. Parameters
    that a method has put into a layer belong to that layer. Raises UserError as layer_names does.
    """
    layers = layer_names(model)
    of_layers = {f"{layer}.": len(layers) - 1 - index for index, layer in enumerate(layers)}
    norms = family_of(model.config.model_type).position_norms
    of_positions = tuple(f"{model.base_model_prefix}.{norm}." for norm in norms)
    lowest = embedding_parameter_names(model)
    found = {}
    for name, _ in model.named_parameters():
        in_layer = [below for layer, below in of_layers.items() if name.startswith(layer)]
        is_lowest = name in lowest or name.startswith(of_positions)
        found[name] = in_layer[0] if in_layer else len(layers) if is_lowest else 0
    return found
