"""Which kernels compute an operation: numba's on the processor, Triton's on a GPU, or none.

Where no back end takes the tensors, the operation's plain twin computes. One more back end is one
more entry of `BACKENDS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor

from peftlab.models.fused import jit
from peftlab.models.fused.operation import Kernels, PlainOperation
from peftlab.models.fused.sums import add_to

HAS_TRITON: bool = find_spec("triton") is not None
TRITON_KERNELS = "peftlab.models.cuda.operations"
TRITON_ADAMW, TRITON_GRAPH = "peftlab.models.cuda.adamw", "peftlab.models.cuda.graph"
"""The modules for a GPU by their names: they import the operations, and Triton."""
ASKED_FOR = "triton"
"""The value of PEFTLAB_KERNELS that asks for the Triton kernels: no card has run them yet."""
OLDEST_CAPABILITY = (8, 0)
"""The first GPUs whose matrix units take bfloat16."""


Program = Callable[[], None]
Capture = Callable[[Program, Program], Program]
"""capture(prepare, program) -> what plays the program again, as often as it is called.

The program is noted as it runs on the device, not run, with the addresses that it reads and writes.
`prepare` is run before: it has everything compiled that the program calls, and leaves no trace."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A set of kernels for operations.

    `takes` says whether they can compute one tensor, whatever its shape; `kernels_of` is None for
    an operation that has none; `add` adds the second tensor to the first. With `records`, programs
    are recorded and played (recording.py). `adamw` is the class of its own AdamW, None where
    torch's serves; `capture` of its device makes what can be played again of a program.
    """

    words: str
    takes: Callable[[Tensor], bool]
    kernels_of: Callable[[type[PlainOperation]], type[Kernels] | None]
    add: Callable[[Tensor, Tensor], None]
    records: bool
    adamw: Callable[[], type[torch.optim.Optimizer] | None] = lambda: None
    capture: Capture | None = None


def is_triton_asked_for() -> bool:
    """Return whether the environment asks for the Triton kernels."""
    return os.environ.get(jit.OFF) == ASKED_FOR


def triton_takes(tensor: Tensor) -> bool:
    """Return whether the Triton kernels are asked for, and can compute a tensor on a card."""
    return (
        HAS_TRITON
        and is_triton_asked_for()
        and tensor.is_cuda
        and tensor.dtype in (torch.float32, torch.bfloat16)
        and _capability(tensor.device) >= OLDEST_CAPABILITY
    )


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _numba_kernels_of(operation: type[PlainOperation]) -> type[Kernels] | None:
    return cast(type[Kernels], operation) if hasattr(operation, "forward") else None


def _triton_kernels_of(operation: type[PlainOperation]) -> type[Kernels] | None:
    found: type[Kernels] | None = import_module(TRITON_KERNELS).KERNELS.get(operation)
    return found


def _triton_adamw() -> type[torch.optim.Optimizer]:
    found: type[torch.optim.Optimizer] = import_module(TRITON_ADAMW).FlatAdamW
    return found


def _triton_capture(prepare: Program, program: Program) -> Program:
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
)
TRITON = Backend(
    words="Triton",
    takes=triton_takes,
    kernels_of=_triton_kernels_of,
    add=_add,
    records=False,
    adamw=_triton_adamw,
    capture=_triton_capture,
)
BACKENDS: tuple[Backend, ...] = (NUMBA, TRITON)


def backend_of(*tensors: Tensor) -> Backend | None:
    """Return the first back end that can compute all of these tensors, or None."""
    for backend in BACKENDS:
        if all(backend.takes(tensor) for tensor in tensors):
            return backend
    return None


def kernels_in_words(*tensors: Tensor) -> str:
    """Return which kernels compute these tensors: "compiled kernels", or "plain kernels"."""
    backend = backend_of(*tensors)
    return f"{'plain' if backend is None else backend.words} kernels"
