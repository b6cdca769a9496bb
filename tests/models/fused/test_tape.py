"""A tape gives what the operations give one by one, and kernels noted down run when they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peftlab.models.fused import launch as launching
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.gelu import Gelu
from peftlab.models.fused.launch import deferred, flush
from peftlab.models.fused.linear import Joined, JoinedLinear, LinearSettings
from peftlab.models.fused.matmul import matmul
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.rows import Rows, TakeRows
from peftlab.models.fused.tape import Run, apply, taped

ROWS = Rows(example_R=torch.zeros(6, dtype=torch.int64), position_R=torch.arange(6))
PLACES = torch.tensor([0, 4])


class Sublayer:
    """x to norm(x + linear(gelu(dropout(x)))), of which two rows are taken."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layer, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
        self.joined = Joined(layers=(self.layer,), adapters=())

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [*self.layer.parameters(), *self.norm.parameters()]

    def __call__(self, run: Run, x: Any) -> Any:
        inner = run(Dropout, DropoutSettings(rows=ROWS, key=3, probability=0.3), x)
        inner = run(Gelu, None, inner)
        inner = run(JoinedLinear, LinearSettings(joined=self.joined, rows=ROWS, dropouts=()), inner)
        settings = NormSettings(norm=self.norm, rows=ROWS, key=4, probability=0.3)
        return run(TakeRows, PLACES, run(DropoutAddNorm, settings, inner, x))


def gradients(out: Tensor, sources: list[Any]) -> list[Tensor]:
    return [out.detach(), *torch.autograd.grad(out.square().sum(), sources)]


def test_a_tape_is_equal_to_the_operations_one_by_one() -> None:
    sublayer, x = Sublayer(), torch.randn(6, 8).requires_grad_()
    sources = [x, *sublayer.parameters]
    whole = gradients(taped(sublayer, sublayer.parameters, x), sources)
    apart = gradients(sublayer(apply, x), sources)
    plain = gradients(sublayer(lambda op, *given: op.plain(*given), x), sources)
    for left, right, twin in zip(whole, apart, plain, strict=True):
        assert torch.equal(left, right)
        torch.testing.assert_close(left, twin, rtol=1e-5, atol=1e-5)


def test_frozen_parameters_and_inputs_get_no_gradient() -> None:
    sublayer, x = Sublayer(), torch.randn(6, 8)
    sublayer.layer.weight.requires_grad_(False)
    taped(sublayer, sublayer.parameters, x).sum().backward()
    assert x.grad is None
    assert sublayer.layer.weight.grad is None
    assert sublayer.layer.bias.grad is not None


def test_without_gradients_nothing_is_kept() -> None:
    sublayer, x = Sublayer(), torch.randn(6, 8)
    with_graph = taped(sublayer, sublayer.parameters, x)
    with torch.no_grad():
        without = taped(sublayer, sublayer.parameters, x)
    assert without.grad_fn is None
    assert torch.equal(with_graph, without)


def test_a_tape_goes_back_once() -> None:
    sublayer, x = Sublayer(), torch.randn(6, 8).requires_grad_()
    out = taped(sublayer, sublayer.parameters, x).sum()
    out.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once only"):
        out.backward()


def test_deferred_kernels_have_run_at_the_end_and_after_a_flush() -> None:
    a = torch.eye(4)
    with deferred():
        first = matmul(a, 2 * a)
        flush()
        assert torch.equal(first, 2 * a)
        chain = [first]
        for _ in range(2 * launching.PENDING):
            chain.append(matmul(chain[-1], a))
    assert torch.equal(chain[-1], 2 * a)


def test_an_exception_leaves_no_notes_behind() -> None:
    out = torch.zeros(4, 4)

    def interrupted() -> None:
        with deferred():
            matmul(torch.eye(4), torch.eye(4), out_RN=out)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    matmul(torch.eye(4), torch.eye(4))
    assert not out.any()
