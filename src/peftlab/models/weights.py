"""The loading of a classifier from a checkpoint's weights, with a fresh head or its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UserError
from peftlab.core.words import counted
from peftlab.models.families import family_of
from peftlab.models.head import fresh_parameter_names, head_parameter_names
from peftlab.models.headers import tensor_shapes, weight_files

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

MOST_NAMED = 3
"""The largest number of tensors that a message names."""

Read = Callable[..., Any]
"""A from_pretrained method for a given checkpoint, which takes the remaining options."""


@dataclass(frozen=True, kw_only=True)
class PretrainedWeights:
    """The place of a checkpoint's weights and the model to make of them.

    `config` is the checkpoint's own with the labels of the wanted classifier, and `empty` returns
    that classifier on the meta device. With `keeps_head` the checkpoint's head is loaded as well.
    """

    name: str
    folder: Path
    config: PretrainedConfig
    empty: Callable[[], PreTrainedModel]
    keeps_head: bool


def load_weights(checkpoint: PretrainedWeights, read: Read) -> PreTrainedModel:
    """Return the classifier; what the checkpoint lacks is drawn from torch's global generator.

    The head is drawn even if the checkpoint has one, unless that is kept, so that the drawn values
    do not depend on it. `read` loads the weights if no head must be left out. Raises UserError if
    the checkpoint lacks other tensors, or has them in another size.
    """
    import torch

    options = {
        "dtype": torch.float32,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
    }
    shapes = tensor_shapes(checkpoint.folder)
    family = family_of(checkpoint.config.model_type)
    if checkpoint.keeps_head or not family.holds_head(shapes):
        model, info = read(**options)
    else:
        empty = checkpoint.empty()
        dropped = _dropped(empty, shapes)
        with ExitStack() as stack:
            state: dict[str, Any] = {}
            for file in weight_files(checkpoint.folder):
                opened = stack.enter_context(_opened(file))
                names = [name for name in opened.keys() if name not in dropped]  # noqa: SIM118
                state |= {name: opened.get_slice(name) for name in names}
            classifier: Any = type(empty)
            model, info = classifier.from_pretrained(
                None, config=checkpoint.config, state_dict=state, **options
            )
    require_whole(checkpoint, model, info)
    return model  # type: ignore[no-any-return]


def remarks_on(checkpoint: PretrainedWeights) -> list[str]:
    """Return remarks on oddities in the weights that are no errors, from their headers alone.

    To find them, transformers loads tensors without data. Raises UserError as load_weights does.
    """
    import torch

    if getattr(checkpoint.config, "quantization_config", None) is not None:
        return []  # the stored tensors then differ from the model's
    empty = checkpoint.empty()
    shapes = tensor_shapes(checkpoint.folder)
    has_head = family_of(checkpoint.config.model_type).holds_head(shapes)
    dropped = _dropped(empty, shapes) if has_head and not checkpoint.keeps_head else set()
    state = {
        name: torch.empty(shape, device="meta")
        for name, shape in shapes.items()
        if name not in dropped
    }
    classifier: Any = type(empty)
    try:
        model, info = classifier.from_pretrained(
            None,
            config=checkpoint.config,
            state_dict=state,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            device_map={"": "meta"},
        )
    except Exception:  # a checkpoint's own code may need data; loading it will report faults
        return []
    require_whole(checkpoint, model, info)
    remarks = []
    poolers = sorted(name for name in info["missing_keys"] if _is_of_pooler(name, model))
    if poolers:
        remarks.append(
            f"the checkpoint '{checkpoint.name}' has no pooler ({_some(poolers)}): it is drawn by "
            "the seed, like the head"
        )
    unused = sorted(name for name in info["unexpected_keys"] if _is_of_base(name, model))
    if unused:
        remarks.append(
            f"the checkpoint '{checkpoint.name}' has {counted(len(unused), 'tensor')} for which "
            f"its config has no place, not used: {_some(unused)}"
        )
    return remarks


def require_whole(
    checkpoint: PretrainedWeights, model: PreTrainedModel, info: Mapping[str, Any]
) -> None:
    """Raise UserError if transformers' loading info names weights that the checkpoint lacks."""
    head = frozenset() if checkpoint.keeps_head else frozenset(head_parameter_names(model))
    missing = sorted(
        name for name in info["missing_keys"] if name not in head and not _is_of_pooler(name, model)
    )
    if missing:
        raise UserError(
            f"the checkpoint '{checkpoint.name}' lacks {len(missing)} of the tensors of its model: "
            f"{_some(missing)}",
            allowed="a complete checkpoint, whose config.json belongs to its weights",
        )
    others = sorted(info["mismatched_keys"])
    if others:
        sizes = [
            f"{name} is {_size(stored)}, not {_size(wanted)}" for name, stored, wanted in others
        ]
        raise UserError(
            f"the checkpoint '{checkpoint.name}' has {counted(len(others), 'tensor')} of another "
            f"size than its model: {_some(sizes)}",
            allowed="a complete checkpoint, whose config.json belongs to its weights",
        )


def _dropped(empty: PreTrainedModel, shapes: Mapping[str, Any]) -> set[str]:
    """Return the names of the head's tensors in the files, including parts of quantised ones."""
    fresh = fresh_parameter_names(empty)
    return {
        name for name in shapes if any(name == own or name.startswith(f"{own}.") for own in fresh)
    }


def _opened(file: Path) -> Any:
    from safetensors import safe_open

    return safe_open(file, framework="pt")


def _is_of_pooler(name: str, model: PreTrainedModel) -> bool:
    """Return whether a tensor belongs to the base model's pooler; language models have none."""
    return name.startswith(f"{model.base_model_prefix}.pooler.")


def _is_of_base(name: str, model: PreTrainedModel) -> bool:
    """Return whether an unused tensor belongs to the base model, not to a head of pretraining."""
    parts = name.split(".")
    if parts[0] == model.base_model_prefix:
        parts = parts[1:]
    elif not hasattr(model.base_model, parts[0]):
        return False
    return parts[0] != "pooler"


def _some(names: list[str]) -> str:
    """Return the first names as text.

    >>> _some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _size(shape: Any) -> str:
    """Return the size in the usual notation.

    >>> _size((3, 4)), _size(())
    ('3 x 4', '1 number')
    """
    return " x ".join(map(str, shape)) or "1 number"
