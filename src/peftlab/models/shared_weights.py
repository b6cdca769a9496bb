"""Frozen weights of several models of one checkpoint, kept in memory once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from peftlab.models.dropout import PEFT_PREFIX

WRAPPED = ".base_layer"
"""The part of a parameter's name that says that a method put something around its module."""


class SharedWeights:
    """The frozen parameters of the first of some models, by their names in the checkpoint.

    What trains, and what is not equal in another model, is not shared.
    """

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def share(self, module: nn.Module) -> None:
        """Make the module's frozen parameters lie where equal ones of an earlier module lie.

        The parameters stay the objects that they are. Those that no earlier module had are kept
        for later ones, as long as nothing in this module moves them.
        """
        for name, parameter in frozen(module):
            found = self._tensors.setdefault(name, parameter.detach())
            if found.data_ptr() != parameter.data_ptr() and _are_equal(found, parameter):
                parameter.data = found


def frozen(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Give the parameters that do not train, by the names that they have in the checkpoint."""
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            yield name.removeprefix(PEFT_PREFIX).replace(WRAPPED, ""), parameter


def _are_equal(first: Tensor, other: Tensor) -> bool:
    return (
        first.dtype == other.dtype
        and first.device == other.device
        and first.shape == other.shape
        and torch.equal(first, other)
    )
