"""Kernels called at once, or noted down to be called later, one after another without Python.

Between two kernels the interpreter's own code and data have left the caches, and each call is much
slower than calls in a row are. So a recording (recording.py) has the kernels of a whole program
noted, and works off the notes by one compiled loop.

A kernel's entry gets what was noted as one row of integers, the addresses of the tensors first,
and one of floats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from peftlab.models.fused.jit import HAS_NUMBA, inline, serial

INTEGERS, FLOATS = 32, 4
"""Places of a row, 8 bytes each."""
FORMATS = [Struct(f"={count}q") for count in range(INTEGERS + 1)]
FORMATS_OF_FLOATS = [Struct(f"={count}d") for count in range(FLOATS + 1)]

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

float_pointer: Callable[[int], Any]
int_pointer: Callable[[int], Any]
call_entry: Callable[..., None]

if HAS_NUMBA:
    import numba
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    ENTRY = types.void(types.CPointer(types.int64), types.CPointer(types.float64))

    @intrinsic  # type: ignore[untyped-decorator]
    def float_pointer(typing_context: Any, address: Any) -> Any:
        """The address of a float32, typed."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.FloatType().as_pointer())

        return types.CPointer(types.float32)(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def int_pointer(typing_context: Any, address: Any) -> Any:
        """The address of an int64, typed."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())

        return types.CPointer(types.int64)(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def call_entry(typing_context: Any, address: Any, integers: Any, floats: Any) -> Any:
        """Call the entry there with these two arrays."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(
                ir.VoidType(), [ir.IntType(64).as_pointer(), ir.DoubleType().as_pointer()]
            )
            rows = [
                context.make_array(array_type)(context, builder, value=array).data
                for array_type, array in zip(signature.args[1:], arguments[1:], strict=True)
            ]
            builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), rows)
            return context.get_dummy_value()

        return types.void(types.int64, integers, floats), generate


@inline
def matrix(address: int, rows: int, columns: int) -> Floats:
    """The float32 array [rows, columns] there."""
    found: Floats = numba.carray(float_pointer(address), (rows, columns))
    return found


@inline
def vector(address: int, size: int) -> Floats:
    """The float32 array [size] there."""
    found: Floats = numba.carray(float_pointer(address), (size,))
    return found


@inline
def integers(address: int, size: int) -> Integers:
    """The int64 array [size] there."""
    found: Integers = numba.carray(int_pointer(address), (size,))
    return found


@serial
def work_off(rows: Any, floats: Any, count: int) -> None:
    """Call the entries of the first `count` rows, each with the rest of its row and its floats."""
    for i in range(count):
        call_entry(rows[i, 0], rows[i, 1:], floats[i])


ENTRIES: list[Entry] = []
"""All there are, in the modules that are imported."""


def compile_loop() -> None:
    """Have the loop over the notes compiled."""
    work_off(_present.rows, _present.floats, 0)


class Entry:
    """A function (integers, floats) that calls a kernel with what they hold."""

    def __init__(self, function: Callable[[Integers, Reals], None]) -> None:
        self._function = function
        ENTRIES.append(self)

    @cached_property
    def address(self) -> int:
        """Of the compiled function; it is compiled, or read from numba's cache, when first used."""
        self._compiled = numba.cfunc(ENTRY, cache=True)(self._function)
        address: int = self._compiled.address
        return address


@dataclass(frozen=True, slots=True)
class Note:
    """A kernel that is to be called, and with what."""

    entry: Entry
    tensors: Sequence[Tensor]
    numbers: Sequence[int]
    floats: Sequence[float]


class _Present(threading.local):
    """The notes that are being taken, if any; and the row of a call that is made at once."""

    def __init__(self) -> None:
        self.notes: list[Note] | None = None
        self.rows = np.zeros((1, INTEGERS), dtype=np.int64)
        self.floats = np.zeros((1, FLOATS))
        self.row_bytes, self.float_bytes = self.rows.data, self.floats.data


_present = _Present()


def launch(
    entry: Entry,
    tensors: Sequence[Tensor],
    numbers: Sequence[int],
    floats: Sequence[float] = (),
) -> None:
    """Have a kernel called with tensors, int64 numbers and floats: now, or noted for later."""
    present = _present
    if present.notes is not None:
        present.notes.append(Note(entry, tensors, numbers, floats))
        return
    row = (entry.address, *[tensor.data_ptr() for tensor in tensors], *numbers)
    FORMATS[len(row)].pack_into(present.row_bytes, 0, *row)
    FORMATS_OF_FLOATS[len(floats)].pack_into(present.float_bytes, 0, *floats)
    work_off(present.rows, present.floats, 1)


@contextmanager
def noting() -> Iterator[list[Note]]:
    """Kernels launched within are not called but noted in the list."""
    before, _present.notes = _present.notes, []
    try:
        yield _present.notes
    finally:
        _present.notes = before
