"""Operations with a backward pass of their own, and a tape that runs many of them as one.

To autograd, calling a Python function forward and backward takes as long as running some of the
kernels. A tape notes the operations as they run and differentiates them itself, so that autograd
sees the whole as one function (recording.py). If a module that only autograd can differentiate
stands between them, each operation is a separate function (`apply`).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from peftlab.models.fused.backends import NUMBA, Backend, backend_of
from peftlab.models.fused.jit import ENABLED
from peftlab.models.fused.operation import Gradients, Kernels, Node, PlainOperation
from peftlab.models.fused.rounding import rounds


class Tape:
    """The operations run by the kernels of one back end, in order.

    With `records` False they are only run, not noted.
    """

    def __init__(self, *, records: bool = True, backend: Backend = NUMBA) -> None:
        self._records = records
        self._backend = backend
        self._steps: list[tuple[type[Kernels], Any, Any, tuple[Node, ...], Node]] = []

    def run(self, operation: type[PlainOperation], settings: Any, *inputs: Node) -> Node:
        """Run the operation and return its output; note it if it needs a gradient."""
        kernels = self._backend.kernels_of(operation)
        assert kernels is not None, "the back end has kernels of all operations on a tape"
        output, kept = kernels.forward(settings, *[node.tensor for node in inputs])
        is_needed = self._records and (
            any(node.is_needed for node in inputs)
            or any(parameter.requires_grad for parameter in operation.parameters(settings))
        )
        node = Node(output, is_needed=is_needed, add=self._backend.add)
        if is_needed:
            self._steps.append((kernels, settings, kept, inputs, node))
        return node

    def backward(self, output: Node, gradient: Tensor) -> Gradients:
        """Return the gradients of all parameters; the gradients of inputs are left in their nodes.

        Kept values are freed on the way, so a second call raises RuntimeError.
        """
        if not self._records:
            raise RuntimeError("the operations on a tape can be differentiated only once")
        self._records = False
        gradients: Gradients = {}
        output.gradient = gradient
        while self._steps:
            kernels, settings, kept, inputs, node = self._steps.pop()
            if node.gradient is not None:
                kernels.backward(settings, kept, node.gradient, inputs, gradients)
                node.gradient = None
        return gradients


def apply(operation: type[PlainOperation], settings: Any, *inputs: Tensor) -> Tensor:
    """Compute one operation under autograd, by kernels if they can run, else by its plain twin."""
    parameters = operation.parameters(settings)
    inputs = tuple(map(_as_kernels_take_it, inputs))
    backend = backend_of(*inputs, *parameters)
    kernels = None if backend is None else backend.kernels_of(operation)
    if backend is None or kernels is None:
        output = operation.plain(settings, *inputs)
        # Kernels before and behind a plain twin agree on a type; what it rounds is up to autocast.
        return output if backend is None or not inputs else output.to(inputs[0].dtype)
    inputs = tuple(x.contiguous() for x in inputs)
    if not torch.is_grad_enabled():
        return kernels.forward(settings, *[x.detach() for x in inputs])[0]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    found: Tensor = _Applied.apply(kernels, backend.add, settings, trained, *inputs, *trained)  # type: ignore[no-untyped-call]
    return found


def _as_kernels_take_it(x: Tensor) -> Tensor:
    """Return what a module under autocast gave in float32, if the processor's kernels are next."""
    is_halved = x.device.type == "cpu" and x.dtype is torch.bfloat16
    return x.float() if is_halved and ENABLED else x


class _Applied(Function):
    @staticmethod
    def forward(
        ctx: Any, kernels: type[Kernels], add: Any, settings: Any, trained: Any, *tensors: Any
    ) -> Tensor:
        given = zip(tensors, ctx.needs_input_grad[4:], strict=True)
        nodes = [Node(x.detach(), is_needed=is_needed, add=add) for x, is_needed in given]
        inputs = tuple(nodes[: len(nodes) - len(trained)])
        output, kept = kernels.forward(settings, *[node.tensor for node in inputs])
        ctx.step = (kernels, settings, kept, inputs, trained)
        ctx.rounds = rounds()
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        if ctx.step is None:
            raise RuntimeError("an operation can be differentiated only once")
        kernels, settings, kept, inputs, trained = ctx.step
        ctx.step = None
        gradients: Gradients = {}
        with torch.autocast("cpu", torch.bfloat16) if ctx.rounds else nullcontext():
            kernels.backward(settings, kept, grads[0].contiguous(), inputs, gradients)
        return (
            None,
            None,
            None,
            None,
            *(node.gradient for node in inputs),
            *(gradients.get(parameter) for parameter in trained),
        )
