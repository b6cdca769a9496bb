"""The comparison of each part that runs on a card with its plain twin, one part at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from peftlab.core.training import Precision
from peftlab.models.cuda.adamw import FlatAdamW
from peftlab.models.cuda.agreement_cases import USUAL, Case, Sizes, cases_of
from peftlab.models.cuda.operations import KERNELS
from peftlab.models.fused.attention import Attention
from peftlab.models.fused.backends import ADAMW, GRAPH, TRITON
from peftlab.models.fused.linear import JoinedLinear
from peftlab.models.fused.operation import Kernels, Node, PlainOperation
from peftlab.models.fused.shared import SharedAttention
from peftlab.models.fused.shared_linear import SharedLinear
from peftlab.models.fused.tape import Tape
from peftlab.models.masked_attention import MaskedAttention
from peftlab.models.precision import multiplying

TOLERANCES: Mapping[Precision, float] = {"fp32": 2e-5, "tf32": 5e-3, "bf16": 2e-2}
"""The greatest difference of two tensors that counts as agreement, relative to the plain twin's
norm. Rounded operands alone make up to a fifth of it."""
WITH_PRODUCTS: tuple[type[PlainOperation], ...] = (
    Attention,
    JoinedLinear,
    MaskedAttention,
    SharedAttention,
    SharedLinear,
)
"""The operations that TF32 changes: those that multiply matrices."""

Check = Callable[[], str | None]
"""A function that returns None for agreement, else what is wrong in a few words."""


def checks(
    device: torch.device,
    *,
    every_size: Sequence[Sizes] = USUAL,
    precisions: Sequence[Precision] = ("fp32", "tf32", "bf16"),
    kernels: Mapping[type[PlainOperation], type[Kernels]] = KERNELS,
) -> dict[str, Check]:
    """Return what is compared on a card, by name: each operation, the optimizer, and a graph."""

    def check_of(operation: type[PlainOperation]) -> Check:
        return lambda: _why_not_equal(operation, kernels, device, every_size, precisions)

    return {
        **{operation.__name__: check_of(operation) for operation in kernels},
        ADAMW: lambda: _why_not_adamw(device),
        GRAPH: lambda: _why_not_graph(device),
    }


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the greatest difference of two tensors relative to the norm of what is expected.

    It is infinite for other shapes, and for a number that is none.
    """
    greatest = 0.0
    for x, y in zip(found, expected, strict=True):
        if x.shape != y.shape:
            return float("inf")
        relative = float((x.double() - y.double()).norm() / y.double().norm().clamp(min=1e-9))
        greatest = max(greatest, relative if relative == relative else float("inf"))
    return greatest


def _why_not_equal(
    operation: type[PlainOperation],
    kernels: Mapping[type[PlainOperation], type[Kernels]],
    device: torch.device,
    every_size: Sequence[Sizes],
    precisions: Sequence[Precision],
) -> str | None:
    for sizes in every_size:
        for precision in precisions:
            if precision == "tf32" and operation not in WITH_PRODUCTS:
                continue
            for case in cases_of(operation, sizes, device):
                dtype = torch.bfloat16 if precision == "bf16" else torch.float32
                with multiplying(precision):
                    found = by_kernels(case, kernels[operation], dtype)
                with multiplying("fp32"):
                    expected = _by_plain_twin(case, dtype)
                largest = difference(found, expected)
                if largest > TOLERANCES[precision]:
                    return f"differs by {largest:.1g} in {precision}"
    return None


def by_kernels(case: Case, kernels: type[Kernels], dtype: torch.dtype) -> list[Tensor]:
    """Return the output by the kernels, and all gradients."""
    tape = Tape(backend=replace(TRITON, kernels_of=lambda operation: kernels))
    inputs = [Node(x.to(dtype), is_needed=True, add=TRITON.add) for x in case.inputs]
    output = tape.run(case.operation, case.settings, *inputs)
    gradients = tape.backward(output, _gradient_of(output.tensor)) if output.is_needed else {}
    found = [output.tensor, *(node.gradient for node in inputs)]
    found += [gradients.get(parameter) for parameter in case.parameters]
    return [torch.zeros(0) if tensor is None else tensor for tensor in found]


def _by_plain_twin(case: Case, dtype: torch.dtype) -> list[Tensor]:
    """Return the same by the plain twin, in float32, of inputs rounded as the kernels have them."""
    inputs = [x.to(dtype).float().requires_grad_() for x in case.inputs]
    output = case.operation.plain(case.settings, *inputs)
    gradient = _gradient_of(output.to(dtype)).float()
    sources = [*inputs, *case.parameters]
    found = torch.autograd.grad(output, sources, gradient) if sources else ()
    return [output.detach(), *found]


def _gradient_of(output: Tensor) -> Tensor:
    """Return a gradient of the output's shape and type, the same each time."""
    drawn = torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
    return drawn.to(output.device, output.dtype)


def _why_not_adamw(device: torch.device) -> str | None:
    """Compare our AdamW with torch's, and its clipping."""
    ours, torchs = (steps_of_adamw(device, is_ours=is_ours) for is_ours in (True, False))
    largest = difference(ours, torchs)
    return f"differs by {largest:.1g}" if largest > TOLERANCES["fp32"] else None


def steps_of_adamw(device: torch.device, *, is_ours: bool) -> list[Tensor]:
    """Return parameters of several blocks after three steps, by our AdamW or by torch's."""
    drawn = torch.Generator().manual_seed(1)
    parameters = [
        nn.Parameter(torch.randn(shape, generator=drawn).to(device))
        for shape in ((3,), (1030,), (70, 64))
    ]
    groups: list[dict[str, Any]] = [
        {"params": parameters[:2], "weight_decay": 0.0},
        {"params": parameters[2:], "weight_decay": 0.1},
    ]
    given: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8}
    optimizer = (
        FlatAdamW(groups, **given) if is_ours else torch.optim.AdamW(groups, **given, foreach=False)
    )
    for _ in range(3):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=drawn).to(device)
        if isinstance(optimizer, FlatAdamW):
            optimizer.max_norm = 0.5
        else:
            nn.utils.clip_grad_norm_(parameters, 0.5, foreach=False)
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def _why_not_graph(device: torch.device) -> str | None:
    """Compare a captured program, played for other numbers, with the program run on those."""
    x, out = torch.zeros(100, device=device), torch.zeros(100, device=device)

    def program() -> None:
        torch.mul(x, x + 1, out=out)

    assert TRITON.capture is not None
    play = TRITON.capture(program, program)
    for number in (2.0, 3.0):
        x.fill_(number)
        play()
        if not torch.equal(out, torch.full_like(out, number * (number + 1))):
            return "gives other numbers when it is played again"
    return None
