"""The head of a sequence classifier as methods see it: by its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peftlab.models.head import head_parameter_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["head_module_names", "head_parameter_names"]


def head_module_names(model: PreTrainedModel) -> list[str]:
    """Return the head's top-level modules in order, such as ["pre_classifier", "classifier"]."""
    return list(dict.fromkeys(name.split(".")[0] for name in head_parameter_names(model)))
