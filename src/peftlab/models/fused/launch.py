"""Kernels called many at a time: noted down first, then run one after another without Python.

Between two kernels the interpreter's own code and data have left the caches, and each call is much
slower than calls in a row are. So a tape (tape.py) only notes which kernel is to be called with
what; the notes are then worked off by one compiled loop.

A kernel's entry gets what was noted as one row of integers, the addresses of the tensors first,
and one of floats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
PENDING = 24
"""Notes are worked off when there are so many: the tensors in them stay alive until then."""

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
def _work_off(rows: Any, floats: Any, count: int) -> None:
    for i in range(count):
        call_entry(rows[i, 0], rows[i, 1:], floats[i])


ENTRIES: list[Entry] = []
"""All there are, in the modules that are imported."""


def compile_loop() -> None:
    """Have the loop over the notes compiled."""
    _work_off(_notes.rows, _notes.floats, 0)


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


class _Notes(threading.local):
    """What is noted and not yet worked off."""

    def __init__(self) -> None:
        self.rows = np.zeros((PENDING, INTEGERS), dtype=np.int64)
        self.floats = np.zeros((PENDING, FLOATS))
        self.row_bytes, self.float_bytes = self.rows.data, self.floats.data
        self.count = 0
        self.tensors: list[Any] = []
        self.depth = 0


_notes = _Notes()


def launch(
    entry: Entry,
    tensors: Sequence[Tensor],
    numbers: Sequence[int],
    floats: Sequence[float] = (),
) -> None:
    """Have a kernel called with tensors, int64 numbers and floats: now, or soon if deferred."""
    notes = _notes
    row = (entry.address, *[tensor.data_ptr() for tensor in tensors], *numbers)
    at = 8 * notes.count
    FORMATS[len(row)].pack_into(notes.row_bytes, INTEGERS * at, *row)
    FORMATS_OF_FLOATS[len(floats)].pack_into(notes.float_bytes, FLOATS * at, *floats)
    notes.tensors.append(tensors)
    notes.count += 1
    if notes.depth == 0 or notes.count == PENDING:
        flush()


def flush() -> None:
    """Work off what is noted: afterwards the tensors hold what they should."""
    notes = _notes
    count, notes.count = notes.count, 0
    if count > 0:
        _work_off(notes.rows, notes.floats, count)
        notes.tensors.clear()


@contextmanager
def deferred() -> Iterator[None]:
    """Kernels launched within may run later, at the end of it at the latest.

    Whoever reads or changes their tensors by other means calls `flush` first.
    """
    _notes.depth += 1
    try:
        yield
        flush()
    finally:
        _notes.depth -= 1
        if _notes.depth == 0:
            _notes.count = 0
            _notes.tensors.clear()
