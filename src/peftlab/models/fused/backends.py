"""The choice of kernels for an operation: numba's on the processor, Triton's on a GPU, or none.

Where no back end takes the tensors, the operation's plain twin computes. One more back end is one
more entry of `BACKENDS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor

from peftlab.core.errors import UserError
from peftlab.models.fused import jit
from peftlab.models.fused.operation import Kernels, PlainOperation
from peftlab.models.fused.sums import add_to

HAS_TRITON: bool = find_spec("triton") is not None
TRITON_KERNELS = "peftlab.models.cuda.operations"
TRITON_ADAMW, TRITON_GRAPH = "peftlab.models.cuda.adamw", "peftlab.models.cuda.graph"
TRITON_AGREEMENT = "peftlab.models.cuda.agreement"
"""The modules for a GPU by their names: they import the operations, and Triton."""
UNTRIED = "triton"
"""The value of PEFTLAB_KERNELS with which Triton's kernels compute whether they agree with their
plain twins on the card or not."""
CHOICES = ("", "off", "numba", UNTRIED)
OLDEST_CAPABILITY = (8, 0)
"""The compute capability of the first GPUs whose matrix units take bfloat16 and TF32: Ampere's."""
ADAMW, GRAPH = "AdamW", "graph"
"""The names, in `lacking`, of the parts of a back end that are no operations."""


class NotRecordableError(RuntimeError):
    """A program that cannot be captured, for a reason in a few words."""


Procedure = Callable[[], None]
"""A call without arguments and result: work on a device, or what plays it again."""
Capture = Callable[[Procedure, Procedure], Procedure]
"""capture(prepare, program) returns a procedure that plays the program each time it is called.

The device's work is captured, not carried out, with the addresses that it reads and writes.
`prepare` runs first: it compiles everything that the program calls, and leaves no trace."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A set of kernels for operations.

    `takes` says whether they can compute one tensor, whatever its shape; `kernels_of` is None for
    an operation that has none; `add` adds the second tensor to the first. With `records`, programs
    are recorded and played (recording.py). Within torch's autocast operations compute in bfloat16
    if it `halves`; otherwise in float32, and only the factors of products are rounded. `adamw` is
    the class of its own AdamW, None if torch's is used; `capture` captures programs on its device.
    `lacking` maps the names of those parts that are not used here to the reasons.
    """

    words: str
    takes: Callable[[Tensor], bool]
    kernels_of: Callable[[type[PlainOperation]], type[Kernels] | None]
    add: Callable[[Tensor, Tensor], None]
    records: bool
    halves: bool
    adamw: Callable[[], type[torch.optim.Optimizer] | None] = lambda: None
    capture: Capture | None = None
    lacking: Callable[[], Mapping[str, str]] = dict


def chosen() -> str:
    """Return the kernels that PEFTLAB_KERNELS asks for; empty for the fastest that are right.

    Raises UserError if it has an unknown value.
    """
    found = os.environ.get(jit.CHOICE, "")
    if found not in CHOICES:
        raise UserError(
            f"there are no kernels '{found}'",
            where=jit.CHOICE,
            allowed="off, numba or triton; not set, the fastest that are right here",
        )
    return found


def why_no_triton(device: torch.device) -> str | None:
    """Return None if the Triton kernels may compute on a card, else the reason in a few words."""
    if chosen() in ("off", "numba"):
        return f"{jit.CHOICE}={chosen()}"
    if not HAS_TRITON:
        return "Triton is not installed"
    if _capability(device) < OLDEST_CAPABILITY:
        return "the card is older than Ampere"
    return None


def triton_takes(tensor: Tensor) -> bool:
    """Return whether the Triton kernels can compute a tensor on a card.

    Where some of them agree with their plain twins, those twins stand in for the others; where none
    does, they compute nothing.
    """
    return (
        tensor.is_cuda
        and tensor.dtype in (torch.float32, torch.bfloat16)
        and _triton_computes(tensor.device, chosen())
    )


@cache
def _triton_computes(device: torch.device, choice: str) -> bool:
    """Return whether any of its operations may be used; found out once, for this is asked often."""
    if why_no_triton(device) is not None:
        return False
    lacking = _triton_lacking()
    operations = import_module(TRITON_KERNELS).KERNELS if lacking else ()
    return not lacking or any(operation.__name__ not in lacking for operation in operations)


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _numba_kernels_of(operation: type[PlainOperation]) -> type[Kernels] | None:
    return cast(type[Kernels], operation) if hasattr(operation, "forward") else None


def _triton_kernels_of(operation: type[PlainOperation]) -> type[Kernels] | None:
    if operation.__name__ in _triton_lacking():
        return None
    found: type[Kernels] | None = import_module(TRITON_KERNELS).KERNELS.get(operation)
    return found


def _triton_lacking() -> Mapping[str, str]:
    """Return what does not agree with its plain twin on the current card; see cuda/agreement.py."""
    if chosen() == UNTRIED:
        return {}
    found: Mapping[str, str] = import_module(TRITON_AGREEMENT).lacking()
    return found


def _triton_adamw() -> type[torch.optim.Optimizer] | None:
    if ADAMW in _triton_lacking():
        return None
    found: type[torch.optim.Optimizer] = import_module(TRITON_ADAMW).FlatAdamW
    return found


def _triton_capture(prepare: Procedure, program: Procedure) -> Procedure:
    capture: Capture = import_module(TRITON_GRAPH).capture
    return capture(prepare, program)


def _add(out: Tensor, x: Tensor) -> None:
    out += x


NUMBA = Backend(
    words="compiled",
    takes=jit.runs_kernels,
    kernels_of=_numba_kernels_of,
    add=add_to,
    records=True,
    halves=False,
)
TRITON = Backend(
    words="Triton",
    takes=triton_takes,
    kernels_of=_triton_kernels_of,
    add=_add,
    records=False,
    halves=True,
    adamw=_triton_adamw,
    capture=_triton_capture,
    lacking=_triton_lacking,
)
BACKENDS: tuple[Backend, ...] = (NUMBA, TRITON)


def backend_of(*tensors: Tensor) -> Backend | None:
    """Return the first back end that can compute all of these tensors, or None."""
    for backend in BACKENDS:
        if all(backend.takes(tensor) for tensor in tensors):
            return backend
    return None


def kernels_in_words(*tensors: Tensor) -> str:
    """Return which kernels compute these tensors: "compiled kernels", or "plain kernels".

    Of a card it is said why they are plain, and which of them are.
    """
    backend = backend_of(*tensors)
    if backend is None:
        why_not = why_no_triton(tensors[0].device) if tensors and tensors[0].is_cuda else None
        return "plain kernels" if why_not is None else f"plain kernels ({why_not})"
    lacking = ", ".join(sorted(backend.lacking()))
    return f"{backend.words} kernels{f' (plain: {lacking})' if lacking else ''}"
