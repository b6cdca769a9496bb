"""The launch of kernels: they are called at once, or noted to be called later without Python.

Between two kernels the interpreter's own code and data have left the caches, and each call is much
slower than calls in a row are. A recording (recording.py) therefore notes the kernels of a whole
program, and calls them from one compiled loop.

The arguments of a kernel are declared once, as a NamedTuple: tensors first, then numbers. The
caller fills it, and the kernel's entry point reads the same fields from a row of memory, 8 bytes
each, in which a tensor is its address:

    class Scaled(NamedTuple):
        x: Tensor
        size: int
        factor: float

    @EntryPoint
    def scale(given: Scaled) -> None:
        scale_kernel(vector(given.x, given.size), f32(given.factor))

    launch(scale, Scaled(x=x_R, size=len(x_R), factor=2.0))
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Any, Generic, TypeVar, get_type_hints

import numpy as np
import numpy.typing as npt
from torch import Tensor

from peftlab.models.fused.jit import HAS_NUMBA, inline, serial

SLOTS = 32
"""The number of places in a row: one for the entry point's address, the others for fields."""
SLOT_BYTES = 8

Integers = npt.NDArray[np.int64]
Halves = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]
Address = int | Tensor
"""An address, as compiled code has it; for a field that is a tensor, the tensor's address."""
Fields = TypeVar("Fields", bound=tuple[Any, ...])

float_pointer: Callable[[Address], Any]
int_pointer: Callable[[Address], Any]
half_pointer: Callable[[Address], Any]
call_entry_point: Callable[..., None]

if HAS_NUMBA:
    import numba
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def float_pointer(typing_context: Any, address: Any) -> Any:
        """Return the address of a float32, typed."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.FloatType().as_pointer())

        return types.CPointer(types.float32)(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def int_pointer(typing_context: Any, address: Any) -> Any:
        """Return the address of an int64, typed."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())

        return types.CPointer(types.int64)(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def half_pointer(typing_context: Any, address: Any) -> Any:
        """Return the address of a uint16, typed."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.IntType(16).as_pointer())

        return types.CPointer(types.uint16)(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def call_entry_point(typing_context: Any, address: Any, fields: Any) -> Any:
        """Call the entry point at the address with the fields in this array."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64).as_pointer()])
            array = context.make_array(fields)(context, builder, value=arguments[1])
            builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [array.data])
            return context.get_dummy_value()

        return types.void(types.int64, fields), generate


@inline
def matrix(address: Address, rows: int, columns: int) -> Floats:
    """Return the float32 array [rows, columns] at the address."""
    found: Floats = numba.carray(float_pointer(address), (rows, columns))
    return found


@inline
def vector(address: Address, size: int) -> Floats:
    """Return the float32 array [size] at the address."""
    found: Floats = numba.carray(float_pointer(address), (size,))
    return found


@inline
def halves(address: Address, size: int) -> Halves:
    """Return the uint16 array [size] at the address: the bits of numbers in bfloat16."""
    found: Halves = numba.carray(half_pointer(address), (size,))
    return found


@inline
def integers(address: Address, size: int) -> Integers:
    """Return the int64 array [size] at the address."""
    found: Integers = numba.carray(int_pointer(address), (size,))
    return found


@serial
def work_off(rows: Any, count: int) -> None:
    """Call the entry points of the first `count` rows, each with the rest of its row."""
    for i in range(count):
        call_entry_point(rows[i, 0], rows[i, 1:])


ENTRY_POINTS: list[EntryPoint[Any]] = []
"""All entry points of the modules that are imported."""


def compile_loop() -> None:
    """Compile the loop over the notes."""
    work_off(_present.row, 0)


class EntryPoint(Generic[Fields]):
    """A function that calls a kernel with the fields of its one argument, a NamedTuple.

    Compiled, it reads them from a row of memory: a tensor's address, an integer or a truth value
    as int64, a float as float64.
    """

    def __init__(self, function: Callable[[Fields], None]) -> None:
        self._function = function
        (fields,) = (hint for name, hint in get_type_hints(function).items() if name != "return")
        self.types: dict[str, type] = get_type_hints(fields)
        kinds = [*self.types.values()]
        self.num_tensors = kinds.count(Tensor)
        assert kinds[: self.num_tensors] == [Tensor] * self.num_tensors, "tensors stand first"
        assert len(kinds) < SLOTS
        self.pack_into = Struct(
            "=q" + "".join("d" if kind is float else "q" for kind in kinds)
        ).pack_into
        ENTRY_POINTS.append(self)

    @property
    def name(self) -> str:
        """The names of module and function, such as "norm.forward"."""
        module = self._function.__module__.rpartition(".")[2]
        return f"{module}.{self._function.__name__.strip('_')}"

    @cached_property
    def address(self) -> int:
        """The address of the function, compiled or read from numba's cache at first use."""
        fields = [
            (name, {"type": types.float64 if kind is float else types.int64, "offset": offset})
            for offset, (name, kind) in zip(
                range(0, SLOT_BYTES * SLOTS, SLOT_BYTES), self.types.items(), strict=False
            )
        ]
        row = types.Record(fields, size=SLOT_BYTES * len(fields), aligned=True)
        self._compiled = numba.cfunc(types.void(row), cache=True)(self._function)
        address: int = self._compiled.address
        return address


@dataclass(frozen=True, slots=True)
class Note:
    """A kernel to be called, and its arguments."""

    entry_point: EntryPoint[Any]
    fields: tuple[Any, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors among the fields."""
        return self.fields[: self.entry_point.num_tensors]


class _Present(threading.local):
    """The notes being taken, if any, and the row for calls made at once."""

    def __init__(self) -> None:
        self.notes: list[Note] | None = None
        self.row = np.zeros((1, SLOTS), dtype=np.int64)
        self.row_bytes = self.row.data


_present = _Present()


def launch(entry_point: EntryPoint[Fields], fields: Fields) -> None:
    """Call a kernel with these fields now, or note the call for later."""
    present = _present
    if present.notes is not None:
        present.notes.append(Note(entry_point, fields))
        return
    count = entry_point.num_tensors
    addresses = [tensor.data_ptr() for tensor in fields[:count]]
    entry_point.pack_into(present.row_bytes, 0, entry_point.address, *addresses, *fields[count:])
    work_off(present.row, 1)


@contextmanager
def at_once() -> Iterator[None]:
    """Call kernels that are launched within the block, also while others are being noted."""
    before, _present.notes = _present.notes, None
    try:
        yield
    finally:
        _present.notes = before


@contextmanager
def noting() -> Iterator[list[Note]]:
    """Note kernels that are launched within the block in the list, instead of calling them."""
    before, _present.notes = _present.notes, []
    try:
        yield _present.notes
    finally:
        _present.notes = before
