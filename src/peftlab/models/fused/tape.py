"""Operations that bring their own backward pass, and a tape that runs many as one.

A function of Python takes autograd as long to call, forward and backward, as some of the kernels
here run. A tape notes the operations as they run and goes back over them itself, so that autograd
sees the whole as one function (recording.py). Where a module that only autograd can differentiate
stands between them, each operation is a function of its own (`apply`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd import Function

from peftlab.models.fused.jit import runs_kernels
from peftlab.models.fused.matmul import add_matmul, matmul
from peftlab.models.fused.sums import add_to

Gradients = dict[nn.Parameter, Tensor]


class Node:
    """A value on a tape: its tensor, whether its gradient is wanted, and that so far."""

    __slots__ = ("gradient", "is_needed", "tensor")

    def __init__(self, tensor: Tensor, *, is_needed: bool) -> None:
        self.tensor = tensor
        self.is_needed = is_needed
        self.gradient: Tensor | None = None

    def add(self, gradient: Tensor) -> None:
        """Add to the gradient. The tensor belongs to the node from now on, and may be changed."""
        if self.gradient is None:
            self.gradient = gradient
        else:
            add_to(self.gradient, gradient)

    def add_product(self, a_RK: Tensor, b_KN: Tensor) -> None:
        """Add a @ b to the gradient."""
        if self.gradient is None:
            self.gradient = matmul(a_RK, b_KN)
        else:
            add_matmul(self.gradient, a_RK, b_KN)


class Operation(Protocol):
    """What can be computed by kernels. `settings` is whatever it needs beside its inputs."""

    @staticmethod
    def parameters(settings: Any) -> tuple[nn.Parameter, ...]:
        """The parameters that it reads."""

    @staticmethod
    def forward(settings: Any, *inputs: Tensor) -> tuple[Tensor, Any]:
        """The output, and what the backward pass wants kept."""

    @staticmethod
    def backward(
        settings: Any, kept: Any, gradient: Tensor, inputs: tuple[Node, ...], gradients: Gradients
    ) -> None:
        """Add to the gradients of the inputs and of those parameters that are there to be trained.

        `gradient`, of the output, is not changed. What was kept may be: this runs once.
        """

    @staticmethod
    def plain(settings: Any, *inputs: Tensor) -> Tensor:
        """The plain twin: the output, by torch and differentiable by autograd."""


Run = Callable[..., Any]
"""run(operation, settings, *inputs): how a program has its operations carried out."""


class Tape:
    """Operations in the order in which they ran; with `records` False they only run."""

    def __init__(self, *, records: bool = True) -> None:
        self._records = records
        self._steps: list[tuple[type[Operation], Any, Any, tuple[Node, ...], Node]] = []

    def run(self, operation: type[Operation], settings: Any, *inputs: Node) -> Node:
        """The operation's output; noted if a gradient will have to go through it."""
        output, kept = operation.forward(settings, *[node.tensor for node in inputs])
        is_needed = self._records and (
            any(node.is_needed for node in inputs)
            or any(parameter.requires_grad for parameter in operation.parameters(settings))
        )
        node = Node(output, is_needed=is_needed)
        if is_needed:
            self._steps.append((operation, settings, kept, inputs, node))
        return node

    def backward(self, output: Node, gradient: Tensor) -> Gradients:
        """The gradients of all parameters; those of the inputs are left in their nodes.

        Once only: what was kept is given up on the way. Raises RuntimeError the second time.
        """
        if not self._records:
            raise RuntimeError("the operations on a tape can be differentiated once only")
        self._records = False
        gradients: Gradients = {}
        output.gradient = gradient
        while self._steps:
            operation, settings, kept, inputs, node = self._steps.pop()
            if node.gradient is not None:
                operation.backward(settings, kept, node.gradient, inputs, gradients)
                node.gradient = None
        return gradients


def apply(operation: type[Operation], settings: Any, *inputs: Tensor) -> Tensor:
    """One operation under autograd: by its kernels where they can run, else its plain twin."""
    parameters = operation.parameters(settings)
    if not runs_kernels(*inputs, *parameters):
        return operation.plain(settings, *inputs)
    inputs = tuple(x.contiguous() for x in inputs)
    if not torch.is_grad_enabled():
        return operation.forward(settings, *[x.detach() for x in inputs])[0]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    output: Tensor = _Applied.apply(operation, settings, trained, *inputs, *trained)  # type: ignore[no-untyped-call]
    return output


class _Applied(Function):
    @staticmethod
    def forward(
        ctx: Any, operation: type[Operation], settings: Any, trained: Any, *tensors: Any
    ) -> Tensor:
        given = zip(tensors, ctx.needs_input_grad[3:], strict=True)
        nodes = [Node(x.detach(), is_needed=is_needed) for x, is_needed in given]
        inputs = tuple(nodes[: len(nodes) - len(trained)])
        output, kept = operation.forward(settings, *[node.tensor for node in inputs])
        ctx.step = (operation, settings, kept, inputs, trained)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        if ctx.step is None:
            raise RuntimeError("an operation can be differentiated once only")
        operation, settings, kept, inputs, trained = ctx.step
        ctx.step = None
        gradients: Gradients = {}
        operation.backward(settings, kept, grads[0].contiguous(), inputs, gradients)
        return (
            None,
            None,
            None,
            *(node.gradient for node in inputs),
            *(gradients.get(parameter) for parameter in trained),
        )
