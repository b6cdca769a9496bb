"""A program of operations recorded once, then played for batches of any size.

While it is recorded, tensors have shapes but no memory (torch's device "meta"), and the kernels
that the operations launch are noted instead of called. The fields of a note are then known as
functions of what changes with a batch: its numbers of tokens and examples, the addresses of the
tensors that are given anew each time, and some numbers. Playing the recording takes one evaluation
of all these functions at once and one compiled loop over the kernels, without Python in between.

Results that only kernels of the program read lie in one block of memory, in which a place is reused
once the last kernel that reads it has run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd import Function

from peftlab.models.fused.launch import SLOTS, Integers, Note, noting, work_off
from peftlab.models.fused.matmul import LINE, SIZE
from peftlab.models.fused.operation import Node
from peftlab.models.fused.tape import Tape

CONSTANT_BITS, TOKEN_BITS = 27, 17
TOKENS, EXAMPLES = 1 << CONSTANT_BITS, 1 << (CONSTANT_BITS + TOKEN_BITS)
"""A batch's sizes while a program is recorded. They are powers of two so large that the
coefficients in c + t * TOKENS + e * EXAMPLES can be read off like the digits of a number."""

Recordable = Callable[..., Any]
"""The type of program(run, *inputs), which returns the output and calls nothing but `run`."""
Digits = tuple[int, int, int]
"""The coefficients (c, t, e) of c + t * tokens + e * examples."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of tokens and examples in a batch."""

    tokens: int
    examples: int


class Number(int):
    """The index of a number that is given anew at each playing, in the place of that number."""


@dataclass
class Given:
    """The tensors and numbers that are given anew at each playing, in the order of these calls."""

    tensors: list[Tensor] = field(default_factory=list)
    num_numbers: int = 0

    def tensor(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return one more tensor, with a shape of constants, TOKENS and EXAMPLES."""
        self.tensors.append(torch.empty(shape, dtype=dtype, device="meta"))
        return self.tensors[-1]

    def number(self) -> int:
        """Return one more number."""
        self.num_numbers += 1
        return Number(self.num_numbers - 1)


class Recording:
    """The kernels of a program, and of its backward pass if any gradient is needed.

    Each field of a note is c + t * tokens + e * examples + a base. The bases are, in this order:
    0, the addresses of the given tensors, the given numbers, and the addresses of results.
    """

    def __init__(
        self, program: Recordable, given: Given, input: Node, trained: Sequence[nn.Parameter]
    ) -> None:
        """Record program(run, input).

        `input` is the first of the given tensors; others may be among the settings of operations.
        Gradients are computed for `input`, if it needs one, and for `trained`.
        """
        tape = Tape(records=input.is_needed or len(trained) > 0)
        with noting() as forward:
            output = program(tape.run, input)
        self.has_backward: bool = output.is_needed
        found: list[Tensor | None] = []
        with noting() as backward:
            if self.has_backward:
                gradients = tape.backward(output, given.tensor(*output.tensor.shape))
                found = [input.gradient, *(gradients.get(parameter) for parameter in trained)]
        bases = {_storage(tensor): 1 + i for i, tensor in enumerate(given.tensors)}
        self._first_number = 1 + len(bases)
        self._output = _Block(self._first_number + given.num_numbers)
        bases[_storage(output.tensor)] = self._output.add(output.tensor)
        self._gradients = _Block(self._output.end)
        for gradient in found:
            if gradient is not None and _storage(gradient) not in bases:
                bases[_storage(gradient)] = self._gradients.add(gradient)
        self._between = _Block(self._gradients.end)
        _lay_out([*forward, *backward], bases, self._between)
        self._output_view = _View(output.tensor, bases)
        self._gradient_views = [
            None if gradient is None else _View(gradient, bases) for gradient in found
        ]
        self._forward = _Rows(forward, bases, self._first_number)
        self._backward = _Rows(backward, bases, self._first_number)
        self.num_places = self._between.end - self._between.first
        self._constants = [
            tensor
            for note in (*forward, *backward)
            for tensor in note.tensors
            if not tensor.is_meta
        ]

    def reads_only(self, parameters: Sequence[Tensor]) -> bool:
        """Return whether it reads only these tensors besides what is given, and may be kept.

        Otherwise it reads a tensor that was computed from them when it was recorded.
        """
        storages = {_storage(parameter) for parameter in parameters}
        return all(_storage(tensor) in storages for tensor in self._constants)

    def run_forward(
        self, tensors: Sequence[Tensor], numbers: Sequence[int], sizes: Sizes
    ) -> tuple[Tensor, Running]:
        """Return the output, and the state that the backward pass needs."""
        bases = np.zeros(self._between.end, dtype=np.int64)
        bases[1 : 1 + len(tensors)] = [tensor.data_ptr() for tensor in tensors]
        bases[self._first_number : self._output.first] = numbers
        between = self._between.allocate(sizes, bases)
        output = self._output_view.within(self._output.allocate(sizes, bases), sizes, bases)
        self._forward.run(sizes, bases)
        return output, Running(self, sizes, bases, (tensors, between, output.detach()))

    def run_backward(self, running: Running, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradients of the input and of each trained parameter, None if missing."""
        sizes, bases = running.sizes, running.bases
        bases[self._first_number - 1] = gradient.data_ptr()
        memory = self._gradients.allocate(sizes, bases)
        self._backward.run(sizes, bases)
        return [
            None if view is None else view.within(memory, sizes, bases)
            for view in self._gradient_views
        ]


@dataclass(slots=True)
class Running:
    """A recording between its forward and its backward pass; `memory` is what they share."""

    recording: Recording
    sizes: Sizes
    bases: Integers
    memory: Any


def play(
    recording: Recording,
    input: Tensor,
    others: Sequence[Tensor],
    numbers: Sequence[int],
    sizes: Sizes,
    trained: Sequence[nn.Parameter],
) -> Tensor:
    """Return the output, which autograd sees as one function of the input and `trained`.

    `others` are the given tensors after the input. Raises RuntimeError if it is differentiated
    twice.
    """
    input = input.contiguous()
    if not recording.has_backward:
        return recording.run_forward([input.detach(), *others], numbers, sizes)[0]
    output: Tensor = _Played.apply(recording, others, numbers, sizes, input, *trained)  # type: ignore[no-untyped-call]
    return output


class _Played(Function):
    @staticmethod
    def forward(
        ctx: Any,
        recording: Recording,
        others: Sequence[Tensor],
        numbers: Sequence[int],
        sizes: Sizes,
        input: Tensor,
        *trained: Tensor,
    ) -> Tensor:
        output, ctx.running = recording.run_forward([input.detach(), *others], numbers, sizes)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        running, ctx.running = ctx.running, None
        if running is None:
            raise RuntimeError("the operations of a recording can be differentiated only once")
        found = running.recording.run_backward(running, grads[0].contiguous())
        return (None, None, None, None, *found)


class _Numbers:
    """Integers that depend on a batch's sizes."""

    def __init__(self, digits: npt.ArrayLike) -> None:
        """Take the coefficients (c, t, e) of the integers [...], an array [..., 3]."""
        self._parts = np.moveaxis(np.array(digits, dtype=np.int64), -1, 0).copy()

    def of(self, sizes: Sizes) -> Integers:
        """Return the integers [...] for a batch of these sizes."""
        constants, per_token, per_example = self._parts
        values: Integers = per_token * sizes.tokens
        values += constants
        values += per_example * sizes.examples
        return values


class _Block:
    """Results that are allocated together. Each has a base; that of the first result is `first`."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._digits: list[Digits] = []

    @property
    def end(self) -> int:
        """The first base after these results."""
        return self.first + len(self._digits)

    def add(self, tensor: Tensor) -> int:
        """Return the base of one more result, as large as the storage of the tensor."""
        self._digits.append(_elements(tensor))
        return self.end - 1

    @cached_property
    def _lengths(self) -> _Numbers:
        return _Numbers(np.reshape(self._digits, (-1, 3)))

    def allocate(self, sizes: Sizes, bases: Integers) -> Tensor:
        """Return memory for all results; their addresses are written to `bases`."""
        lengths = (self._lengths.of(sizes) + (LINE - 1)) // LINE * LINE
        starts = np.cumsum(lengths) - lengths
        memory = torch.empty(int(lengths.sum()))
        bases[self.first : self.end] = memory.data_ptr() + SIZE * starts
        return memory


class _View:
    """A tensor in the memory of its block; only its first size may depend on the batch."""

    def __init__(self, tensor: Tensor, bases: dict[int, int]) -> None:
        self._base = bases[_storage(tensor)]
        self._offset, self._stride = tensor.storage_offset(), tensor.stride()
        self._length, self._rest = _digits(tensor.shape[0]), tensor.shape[1:]
        assert max(self._offset, *self._stride, *self._rest) < TOKENS

    def within(self, memory: Tensor, sizes: Sizes, bases: Integers) -> Tensor:
        """Return the tensor in this memory."""
        start = (int(bases[self._base]) - memory.data_ptr()) // SIZE
        constant, per_token, per_example = self._length
        length = constant + per_token * sizes.tokens + per_example * sizes.examples
        return memory.as_strided((length, *self._rest), self._stride, start + self._offset)


class _Rows:
    """The rows of notes: each field as (c, t, e) and a base, with a float as its bits."""

    def __init__(self, notes: Sequence[Note], bases: dict[int, int], first_number: int) -> None:
        digits = np.zeros((len(notes), SLOTS, 3), dtype=np.int64)
        self._bases = np.zeros((len(notes), SLOTS), dtype=np.int64)
        for i, note in enumerate(notes):
            digits[i, 0, 0] = note.entry_point.address
            kinds = note.entry_point.types.values()
            for j, (kind, value) in enumerate(zip(kinds, note.fields, strict=True), start=1):
                if kind is float:
                    digits[i, j, 0] = np.float64(value).view(np.int64)
                elif isinstance(value, Tensor) and value.is_meta:
                    self._bases[i, j] = bases[_storage(value)]
                    offset = int(value.storage_offset()) * value.element_size()
                    digits[i, j] = _digits(offset)
                elif isinstance(value, Tensor):
                    digits[i, j, 0] = value.data_ptr()
                elif isinstance(value, Number):
                    self._bases[i, j] = first_number + value
                else:
                    digits[i, j] = _digits(value)
        self._integers = _Numbers(digits)

    def run(self, sizes: Sizes, bases: Integers) -> None:
        """Call the kernels."""
        rows = self._integers.of(sizes)
        rows += bases[self._bases]
        work_off(rows, len(rows))


def _lay_out(notes: Sequence[Note], bases: dict[int, int], block: _Block) -> None:
    """Give each storage without a base a base of the block, which later storages may reuse."""
    last_use = {_storage(t): i for i, note in enumerate(notes) for t in note.tensors if t.is_meta}
    free: dict[Digits, list[int]] = {}
    for i, note in enumerate(notes):
        tensors = {_storage(t): t for t in note.tensors if t.is_meta}
        for storage, tensor in tensors.items():
            if storage not in bases:
                vacant = free.get(_elements(tensor))
                bases[storage] = vacant.pop() if vacant else block.add(tensor)
        for storage, tensor in tensors.items():
            if last_use[storage] == i and bases[storage] >= block.first:
                free.setdefault(_elements(tensor), []).append(bases[storage])


def _storage(tensor: Tensor) -> int:
    """Return the id of the tensor's storage, valid while that is alive."""
    return int(tensor.untyped_storage()._cdata)


def _elements(tensor: Tensor) -> Digits:
    """Return the size of the tensor's storage, in elements."""
    num_bytes = int(tensor.untyped_storage().nbytes())
    return _digits(num_bytes // tensor.element_size())


def _digits(value: int) -> Digits:
    rest, constant = divmod(value, TOKENS)
    examples, tokens = divmod(rest, EXAMPLES // TOKENS)
    return constant, tokens, examples
