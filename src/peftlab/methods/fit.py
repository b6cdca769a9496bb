"""A check, by shapes alone and before any training, that a method can work on a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from peftlab.core.errors import UserError, first_line

if TYPE_CHECKING:
    from torch import nn

WITHOUT_NUMBERS = "meta"
"""The word in torch's errors if the only fault is that tensors have no numbers."""
LENGTH = 4


def require_fit(plain: nn.Module, module: nn.Module, *, method: str) -> None:
    """Raise UserError if nothing of `module`, the method on a model, trains or can be computed.

    `plain` is the same model without the method, `module` has no numbers either: where the plain
    one cannot be computed so, or the method cannot for that alone, the shapes say nothing.
    """
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise UserError(
            f"{method} does not fit this model: it has nothing that the method trains",
            remedy="another method",
        )
    if any(not parameter.is_meta for parameter in module.parameters()) or _fault(plain) is not None:
        return
    fault = _fault(module)
    if fault is not None and not _is_for_numbers(fault):
        raise UserError(f"{method} does not fit this model: {first_line(fault)}")


def _fault(module: nn.Module) -> Exception | None:
    """Return the error of a forward pass for one row without numbers, or without a usable mask."""
    ids = torch.zeros(1, LENGTH, dtype=torch.int64, device="meta")
    try:
        with torch.no_grad():
            module(input_ids=ids)
    except Exception as error:  # of whichever kind a method's own code raises
        return error
    return None


def _is_for_numbers(fault: Exception) -> bool:
    return isinstance(fault, NotImplementedError) or WITHOUT_NUMBERS in str(fault).lower()
