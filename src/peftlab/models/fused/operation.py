"""The interface of an operation: its kernels, forward and backward, and its plain twin."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from peftlab.models.fused.sums import add_to

Gradients = dict[nn.Parameter, Tensor]
R = TypeVar("R")


class Node:
    """A value: its tensor, whether its gradient is needed, and the gradient so far.

    `add` is the back end's function that adds its second tensor to the first.
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
    """A back end's kernels for an operation. `settings` is all that it needs besides its inputs."""

    @staticmethod
    def forward(settings: Any, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the output, and the values to keep for the backward pass."""

    @staticmethod
    def backward(
        settings: Any, kept: Any, gradient: Tensor, inputs: tuple[Node, ...], gradients: Gradients
    ) -> None:
        """Add to the gradients of the inputs and of the trained parameters.

        The output's `gradient` is not changed. The kept values may be, as this runs only once.
        """


class PlainOperation(Protocol):
    """An operation that torch can compute, as can any back end that has kernels for it."""

    @staticmethod
    def parameters(settings: Any) -> tuple[nn.Parameter, ...]:
        """Return the parameters that it reads."""

    @staticmethod
    def plain(settings: Any, *inputs: Tensor) -> Tensor:
        """Return the output by torch, differentiable by autograd: the plain twin."""


class Operation(PlainOperation, Kernels, Protocol):
    """An operation that defines the processor's kernels itself."""


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
