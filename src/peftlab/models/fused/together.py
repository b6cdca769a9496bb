"""Programs of several models that share frozen weights, carried out at once.

Each model's program is its own (blocks.py), with its own batch, dropout and trained parameters.
Where programs ask for the product with the same frozen weights, that is computed for the rows of
all of them as one. So is any other operation for which a back end has kernels (shared.py); the
rest is computed for each model by itself. No row depends on another model's rows, so a model's
numbers are those that it has alone, but for the order in which a product sums.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from peftlab.models.fused.backends import backend_of
from peftlab.models.fused.linear import JoinedLinear
from peftlab.models.fused.operation import Call, PlainOperation, Program
from peftlab.models.fused.shared import (
    Several,
    SharedAttention,
    SharedDropout,
    SharedGelu,
    SharedLookUp,
    SharedNorm,
    SharedOperation,
    SharedTakeRows,
)
from peftlab.models.fused.shared_linear import SharedLinear
from peftlab.models.fused.tape import apply

R = TypeVar("R")

SHARED: dict[type[PlainOperation], type[SharedOperation]] = {
    shared.one: shared
    for shared in (
        SharedAttention,
        SharedDropout,
        SharedGelu,
        SharedLinear,
        SharedLookUp,
        SharedNorm,
        SharedTakeRows,
    )
}


def carry_out_together(
    programs: Sequence[Program[R]], found: dict[Any, Any] | None = None
) -> list[R]:
    """Return the results of the programs; `found` is filled as `Several` says."""
    found = {} if found is None else found
    results: dict[int, R] = {}
    waiting: dict[int, Call] = {}

    def go_on(number: int, value: Any) -> None:
        """Send a program what it waits for; carry it out to what it may share, or to its end."""
        program = programs[number]
        try:
            call = program.send(value)
            while _alike(call) is None:
                call = program.send(apply(call.operation, call.settings, *call.inputs))
        except StopIteration as end:
            results[number] = end.value
        else:
            waiting[number] = call

    for number in range(len(programs)):
        go_on(number, None)
    while waiting:
        # All programs come to the same products, but not all to the same operations between them.
        first = next(
            (call for call in waiting.values() if call.operation is not JoinedLinear),
            next(iter(waiting.values())),
        )
        numbers = [number for number, call in waiting.items() if _alike(call) == _alike(first)]
        outputs = compute([waiting.pop(number) for number in numbers], found)
        for number, output in zip(numbers, outputs, strict=True):
            go_on(number, output)
    return [results[number] for number in range(len(programs))]


def _alike(call: Call) -> Hashable | None:
    """Return a value that calls have in common which can be computed at once; None for others."""
    shared = SHARED.get(call.operation)
    if shared is None:
        return None
    if shared is not SharedLinear:  # else sharing pays by whatever it is computed
        backend = backend_of(*call.inputs, *call.operation.parameters(call.settings))
        if backend is None or backend.kernels_of(shared) is None:
            return None
    alike = shared.alike(call.settings)
    return None if alike is None else (shared, len(call.inputs), alike)


def compute(calls: Sequence[Call], found: dict[Any, Any]) -> Sequence[Tensor]:
    """Return the outputs of calls of one operation that can be computed at once."""
    (operation, settings, inputs), *others = calls
    if not others:
        return [apply(operation, settings, *inputs)]
    several = Several(
        settings=tuple(call.settings for call in calls),
        sizes=tuple(tuple(map(len, call.inputs)) for call in calls),
        found=found,
    )
    columns = zip(*(call.inputs for call in calls), strict=True)
    shared = SHARED[operation]
    output = apply(shared, several, *(joined_rows(parts) for parts in columns))
    own = zip(several.settings, several.sizes, strict=True)
    sizes = [shared.num_outputs(one, rows) for one, rows in own]
    return [*output.split(sizes)]


def joined_rows(parts: Sequence[Tensor]) -> Tensor:
    """Return the rows of all parts as one tensor: without a copy where they are all of one."""
    whole = parts[0]._base
    if whole is not None and sum(len(part) for part in parts) == len(whole):
        starts = [part.storage_offset() for part in parts]
        is_whole = all(part._base is whole and part.shape[1:] == whole.shape[1:] for part in parts)
        if is_whole and starts == sorted(starts) and whole.is_contiguous():
            return whole
    return torch.cat(list(parts))
