"""Programs of several models that share frozen weights, carried out at once.

Each model's program is its own (blocks.py), with its own batch, dropout and trained parameters.
Where programs ask for the product with the same frozen weights, that is computed for the rows of
all of them as one; whatever else they ask for is computed for each by itself. No row depends on
another model's rows, so a model's numbers are those that it has alone, but for the order in which
a product sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from peftlab.models.fused.linear import JoinedLinear
from peftlab.models.fused.operation import Call, Program
from peftlab.models.fused.shared_linear import SharedLinear, have_same_weights, row_ranges
from peftlab.models.fused.tape import apply

R = TypeVar("R")


def carry_out_together(programs: Sequence[Program[R]]) -> list[R]:
    """Return the results of the programs."""
    results: dict[int, R] = {}
    waiting: dict[int, Call] = {}

    def go_on(number: int, value: Any) -> None:
        """Send a program what it waits for; carry it out to its next product or to its end."""
        program = programs[number]
        try:
            call = program.send(value)
            while call.operation is not JoinedLinear:
                call = program.send(apply(call.operation, call.settings, *call.inputs))
        except StopIteration as end:
            results[number] = end.value
        else:
            waiting[number] = call

    for number in range(len(programs)):
        go_on(number, None)
    while waiting:
        first, *_ = waiting
        joined = waiting[first].settings.joined
        numbers = [
            number
            for number, call in waiting.items()
            if number == first or have_same_weights(joined, call.settings.joined)
        ]
        outputs = _products([waiting.pop(number) for number in numbers])
        for number, output in zip(numbers, outputs, strict=True):
            go_on(number, output)
    return [results[number] for number in range(len(programs))]


def _products(calls: Sequence[Call]) -> Sequence[Tensor]:
    """Return the outputs of calls of JoinedLinear with the same weights."""
    if len(calls) == 1:
        (call,) = calls
        return [apply(JoinedLinear, call.settings, *call.inputs)]
    inputs = [call.inputs[0] for call in calls]
    settings = tuple(call.settings for call in calls)
    output_RW = apply(SharedLinear, settings, joined_rows(inputs))
    return [output_RW[rows] for rows in row_ranges(settings)]


def joined_rows(parts: Sequence[Tensor]) -> Tensor:
    """Return the rows of all parts as one tensor: without a copy where they are all of one."""
    whole = parts[0]._base
    if whole is not None and sum(len(part) for part in parts) == len(whole):
        starts = [part.storage_offset() for part in parts]
        is_whole = all(part._base is whole and part.shape[1:] == whole.shape[1:] for part in parts)
        if is_whole and starts == sorted(starts) and whole.is_contiguous():
            return whole
    return torch.cat(list(parts))
