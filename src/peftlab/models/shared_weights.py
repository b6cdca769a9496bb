"""Weights that several models have in common, kept in memory once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import torch
from torch import Tensor, nn

from peftlab.models.dropout import PEFT_PREFIX

WRAPPED = ".base_layer"
"""The part of a parameter's name that says that a method put something around its module."""


class SharedWeights:
    """Parameters of models that were loaded before, by a key that equal ones have in common."""

    def __init__(self) -> None:
        self._tensors: dict[Hashable, list[Tensor]] = {}

    def share(self, parameters: Iterable[tuple[Hashable, nn.Parameter]]) -> list[Tensor]:
        """Make each parameter lie where one of the same key lies that is bitwise equal.

        If there is none, it lies where it did, for others to share. Returns where each lies now.
        The parameters stay the objects that they are.
        """
        return [self._shared(key, parameter) for key, parameter in parameters]

    def _shared(self, key: Hashable, parameter: nn.Parameter) -> Tensor:
        known = self._tensors.setdefault(key, [])
        equal = next((one for one in known if _are_equal(one, parameter)), None)
        if equal is None:
            equal = parameter.detach()
            known.append(equal)
        parameter.data = equal
        return equal


def frozen(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Give the parameters that do not train, by the names that they have in the checkpoint."""
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad and type(parameter) is nn.Parameter:
            yield name.removeprefix(PEFT_PREFIX).replace(WRAPPED, ""), parameter


def _are_equal(first: Tensor, other: Tensor) -> bool:
    if first.data_ptr() == other.data_ptr():
        return first.shape == other.shape
    return (
        first.dtype == other.dtype
        and first.device == other.device
        and first.shape == other.shape
        and torch.equal(first, other)
    )
