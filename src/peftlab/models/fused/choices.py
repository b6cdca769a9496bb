"""The choice of the kernel for each product: measured once on a machine, then kept.

Which of two kernels is faster for a shape depends on the processor. Where it is not known, both
multiply matrices of that shape for random numbers of rows, in turn; what was found is kept beside
the compiled kernels, under everything that it depends on. A training keeps its choices in its
checkpoints (`using`), so that it computes the same numbers when it goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from peftlab.core.errors import StorageError, UserError
from peftlab.core.files import whole_file
from peftlab.core.words import counted
from peftlab.models.fused import jit
from peftlab.models.fused.launch import at_once
from peftlab.models.fused.product_kernels import OWN, PRODUCT_KERNELS, ProductKernel, Shape
from peftlab.models.fused.rounding import rounded
from peftlab.store.provenance import processor_name

CHOICE = "PEFTLAB_PRODUCTS"
"""The environment variable that names the kernel for all products; not set, the faster one."""
NUM_ROWS = {False: (64, 512), True: (8, 32)}
"""The ranges of the numbers of rows that are measured, by whether a product has few."""
NUM_DRAWN, NUM_WEIGHTS, ROUNDS, LEAST_GAIN = 5, 4, 3, 1.2
"""The numbers of rows that are drawn, and weights that take turns, as a model's layers do, so that
none is in the cache; the rounds; and how many times as fast another kernel must be than the first
to be chosen: by itself it finds its factors nearer than in a step, and 1.05 made steps slower."""
LONGEST_SECONDS = 0.4
"""The time after which no further round is begun."""


class Choices:
    """The kernels that have been chosen, by the names of shapes; others are found out."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.known: dict[str, str] = dict(known or {})

    def of(self, shape: Shape) -> str:
        """Return the kernel for products of that shape."""
        name = shape.name
        if self.known.get(name) not in available():
            self.known[name] = asked_for() or _of_machine(shape)
        return self.known[name]

    @property
    def words(self) -> str:
        """Which products are not computed by our own kernel; "" if there are none."""
        num_other = sum(kernel != OWN for kernel in self.known.values())
        if num_other == 0:
            return ""
        return f"{num_other} of {counted(len(self.known), 'shape')} of products by MKL"


_present = Choices()


@contextmanager
def using(choices: Choices) -> Iterator[Choices]:
    """Choose kernels by these within the block."""
    global _present
    before, _present = _present, choices
    try:
        yield choices
    finally:
        _present = before


def kernel_of(shape: Shape) -> str:
    """Return the name of the kernel for products of that shape, by the present choices."""
    return _present.of(shape)


def asked_for() -> str:
    """Return the kernel that PEFTLAB_PRODUCTS names, "" if it is not set.

    Raises UserError if there is no kernel of that name here.
    """
    found = os.environ.get(CHOICE, "")
    if found and found not in available():
        raise UserError(
            f"there is no kernel for products '{found}' here",
            where=CHOICE,
            allowed=f"{' or '.join(available())}; not set, the faster one of each shape",
        )
    return found


@cache
def available() -> tuple[str, ...]:
    """Return the names of the kernels that are there."""
    return tuple(name for name, kernel in PRODUCT_KERNELS.items() if kernel.is_there)


def _of_machine(shape: Shape) -> str:
    """Return what is faster on this machine, from its file if that tells."""
    if available() == (OWN,):
        return OWN
    found = _kept().get(shape.name)
    if found is None:
        found = faster(shape)
        # What another process has found meanwhile stands: all that follow choose the same.
        kept = {shape.name: found, **_kept()}
        found = kept[shape.name]
        with suppress(StorageError), whole_file(_file()) as stream:
            stream.write(json.dumps(kept, indent=1, sort_keys=True).encode())
    return found


def _kept() -> dict[str, str]:
    """Return what the machine's file holds of kernels that are there; {} if it cannot be read."""
    try:
        found = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: kernel for name, kernel in found.items() if kernel in available()}


def _file() -> Path:
    """Return the file of choices for this processor, number of threads and these versions."""
    known = [processor_name() or "", *map(version, ("torch", "numba", "llvmlite"))]
    known += [str(torch.get_num_threads()), str(os.cpu_count())]
    digest = hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
    return jit.kernel_folder() / f"products-{digest}.json"


def faster(shape: Shape) -> str:
    """Return the kernel that is faster for a shape, by multiplying such matrices."""
    generator = torch.Generator().manual_seed(0)
    low, high = NUM_ROWS[shape.few]
    drawn = torch.randint(low, high + 1, (NUM_DRAWN,), generator=generator).tolist()
    with at_once(), torch.inference_mode():
        cases = [_case(shape, rows, generator) for rows in drawn]
        ratios: dict[str, list[float]] = {name: [] for name in available()}
        began = perf_counter()
        for _ in range(ROUNDS + 1):  # the first is to warm up
            seconds = {
                name: _seconds(PRODUCT_KERNELS[name], cases, shape.is_rounded) for name in ratios
            }
            for name, taken in seconds.items():
                ratios[name].append(seconds[OWN] / taken)
            if len(ratios[OWN]) > 1 and perf_counter() - began > LONGEST_SECONDS:
                break
    gains = {name: median(found[1:]) for name, found in ratios.items()}
    best = max(gains, key=lambda name: gains[name])
    return best if gains[best] >= LEAST_GAIN else OWN


def _case(shape: Shape, rows: int, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
    """Return a left factor, and right factors that take turns."""

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator)

    if shape.layout == "to the weights":
        return random(rows, shape.inner).T, [random(rows, shape.outer)]
    if shape.layout == "to the input":
        factors = [random(shape.inner, shape.outer) for _ in range(NUM_WEIGHTS)]
    else:
        factors = [random(shape.outer, shape.inner).T for _ in range(NUM_WEIGHTS)]
    return random(rows, shape.inner), factors


def _seconds(
    kernel: ProductKernel, cases: list[tuple[Tensor, list[Tensor]]], is_rounded: bool
) -> float:
    """Return the time of the products; the right factors are taken as rounded before."""
    total = 0.0
    for left, rights in cases:
        if is_rounded:
            rights = [rounded(right, kernel.rounded_dtype) for right in rights]
        began = perf_counter()
        for right in rights:
            factor = rounded(left, kernel.rounded_dtype) if is_rounded else left
            out = factor.new_empty(left.shape[0], right.shape[1], dtype=torch.float32)
            kernel.multiply(factor, right, out, None, 1.0)
        total += perf_counter() - began
    return total
