"""What an operation is: something to compute, the kernels that bring its own backward pass, and
the plain twin."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from peftlab.models.fused.sums import add_to

Gradients = dict[nn.Parameter, Tensor]
R = TypeVar("R")


class Node:
    """A value: its tensor, whether its gradient is wanted, and that so far.

    `add` adds the second tensor to the first; it is the addition of the back end that computes.
    """

    __slots__ = ("_add", "gradient", "is_needed", "tensor")

    def __init__(
        self, tensor: Tensor, *, is_needed: bool, add: Callable[[Tensor, Tensor], None] = add_to
    ) -> None:
        self.tensor = tensor
        self.is_needed = is_needed
        self.gradient: Tensor | None = None
        self._add = add

    def add(self, gradient: Tensor) -> None:
        """Add to the gradient. The tensor belongs to the node from now on, and may be changed."""
        if self.gradient is None:
            self.gradient = gradient
        else:
            self._add(self.gradient, gradient)


class Kernels(Protocol):
    """How a back end computes an operation. `settings` is whatever it needs beside its inputs."""

    @staticmethod
    def forward(settings: Any, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the output, and what the backward pass wants kept."""

    @staticmethod
    def backward(
        settings: Any, kept: Any, gradient: Tensor, inputs: tuple[Node, ...], gradients: Gradients
    ) -> None:
        """Add to the gradients of the inputs and of those parameters that are there to be trained.

        `gradient`, of the output, is not changed. What was kept may be: this runs once.
        """


class PlainOperation(Protocol):
    """What can be computed by torch, and by the kernels of those back ends that have some."""

    @staticmethod
    def parameters(settings: Any) -> tuple[nn.Parameter, ...]:
        """Return the parameters that it reads."""

    @staticmethod
    def plain(settings: Any, *inputs: Tensor) -> Tensor:
        """Return the output by torch, differentiable by autograd: the plain twin."""


class Operation(PlainOperation, Kernels, Protocol):
    """An operation that brings the processor's kernels itself."""


class Call(NamedTuple):
    """An operation that a program asks for, with its settings and inputs."""

    operation: type[Any]
    settings: Any
    inputs: tuple[Any, ...]


Program = Generator[Call, Any, R]
"""A computation that yields each operation it needs, is sent the output, and returns its result.

So whoever carries it out decides how: by a tape, by autograd, or several programs at once.
"""
Run = Callable[..., Any]
"""run(operation, settings, *inputs) computes an operation."""


def carry_out(program: Program[R], run: Run) -> R:
    """Return the program's result, each operation computed by `run`."""
    try:
        call = next(program)
        while True:
            call = program.send(run(call.operation, call.settings, *call.inputs))
    except StopIteration as end:
        result: R = end.value
        return result
