"""Every kernel gives the results of its plain twin, forward and backward, for any size."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from peftlab.models.fused import jit
from peftlab.models.fused.attention import Attention
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.embedding import LookUp, LookUpTable
from peftlab.models.fused.gelu import Gelu, GeluSettings, is_exact_gelu
from peftlab.models.fused.linear import (
    Adapter,
    Joined,
    JoinedLinear,
    LinearSettings,
    share_storage,
)
from peftlab.models.fused.math32 import exponential
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.operation import Operation
from peftlab.models.fused.tape import apply
from tests.models.operations import attention_case, both_ways, random, rows_of

LENGTHS = (5, 1, 17, 8, 3)


def assert_same(fast: list[Tensor], plain: list[Tensor]) -> None:
    assert len(fast) == len(plain)
    for left, right in zip(fast, plain, strict=True):
        torch.testing.assert_close(left, right, rtol=2e-5, atol=2e-5)


def assert_twins_agree(
    operation: type[Operation], settings: object, inputs: list[Tensor], parameters: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Assert that output and gradients by the kernels and by the plain twin agree to rounding."""
    fast, plain = both_ways(operation, settings, inputs, parameters)
    assert_same(fast, plain)
    return fast, plain


def test_kernels_run_here() -> None:
    """Otherwise the tests of this file would compare the twins with themselves."""
    assert jit.runs_kernels(torch.zeros(1))
    assert not jit.runs_kernels(torch.zeros(1, dtype=torch.float64))


def test_kernels_can_be_put_off_by_the_environment() -> None:
    code = "from peftlab.models.fused import jit; print(jit.ENABLED)"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, jit.CHOICE: "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "False"


def test_without_kernels_the_twins_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    x, settings = random(34, 8), DropoutSettings(rows=rows_of(LENGTHS), key=1, probability=0.5)
    fast = apply(Dropout, settings, x)
    monkeypatch.setattr(jit, "ENABLED", False)
    plain = apply(Dropout, settings, x)
    assert "Applied" in str(fast.grad_fn)
    assert "Mul" in str(plain.grad_fn)
    assert torch.equal(fast, plain)


@jit.kernel
def exponentials(x: np.ndarray, out: np.ndarray) -> None:  # type: ignore[type-arg]
    for i in jit.prange(len(x)):
        out[i] = exponential(x[i])


def test_the_exponential_is_right_to_two_units_in_the_last_place() -> None:
    x = np.linspace(-86.9, 88.0, 200_001).astype(np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    exact = np.exp(x.astype(np.float64))
    assert float(np.max(np.abs(out - exact) / np.spacing(exact.astype(np.float32)))) < 2
    exponentials(np.array([-1e30, 0.0], dtype=np.float32), out[:2])
    assert 0 <= out[0] < 1e-37
    assert out[1] == 1


@pytest.mark.parametrize("width", [1, 7, 64, 100])
@pytest.mark.parametrize("probability", [0.1, 0.7])
def test_dropout(width: int, probability: float) -> None:
    settings = DropoutSettings(rows=rows_of(LENGTHS), key=12345, probability=probability)
    fast, plain = assert_twins_agree(Dropout, settings, [random(34, width)], [])
    assert torch.equal(fast[0] == 0, plain[0] == 0)


@pytest.mark.parametrize("width", [1, 13, 64])
def test_gelu(width: int) -> None:
    x = (random(34, width) * 4).detach().requires_grad_()
    fast, plain = assert_twins_agree(Gelu, GeluSettings(has_backward=True), [x], [])
    assert not torch.equal(fast[0], plain[0])  # else the kernel was not used
    for left, right in zip(fast, plain, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("width", [1, 13, 70])
def test_look_up(width: int) -> None:
    rows = rows_of(LENGTHS)
    positions = LookUpTable(weight=random(19, width, seed=1), ids_R=rows.position_R, first=2)
    types = LookUpTable(weight=random(2, width, seed=2), ids_R=rows.position_R % 2)
    assert_twins_agree(LookUp, (positions,), [], [positions.weight])
    assert_twins_agree(LookUp, (positions, types), [], [positions.weight, types.weight])
    types.weight.requires_grad_(False)
    assert_twins_agree(LookUp, (positions, types), [], [positions.weight])


def test_other_activations_are_told_apart() -> None:
    assert is_exact_gelu(ACT2FN["gelu"])
    for name in ("relu", "gelu_new", "silu"):
        assert not is_exact_gelu(ACT2FN[name])


@pytest.mark.parametrize("width", [8, 24, 33])
@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_dropout_add_norm(width: int, probability: float) -> None:
    norm = nn.LayerNorm(width, eps=1e-6)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    settings = NormSettings(norm=norm, rows=rows_of(LENGTHS), key=77, probability=probability)
    inputs = [random(34, width), random(34, width, seed=1)]
    assert_twins_agree(DropoutAddNorm, settings, inputs, [norm.weight, norm.bias])


@pytest.mark.parametrize("probability", [0.0, 0.2])
@pytest.mark.parametrize(
    ("num_heads", "width", "lengths"),
    [
        (3, 8, LENGTHS),
        (1, 5, (1, 1)),
        (2, 32, (9, 70)),
        (2, 19, (40,)),
        (1, 64, (512, 3)),
    ],
)
@pytest.mark.parametrize("form", ["joined", "pooled", "apart"])
def test_attention(
    form: str, num_heads: int, width: int, lengths: tuple[int, ...], probability: float
) -> None:
    settings, projections = attention_case(
        form, num_heads, width, lengths, key=5, probability=probability
    )
    assert_twins_agree(Attention, settings, projections, [])


def joined_layers(*, bias: bool = True, p: float = 0.2) -> Joined:
    torch.manual_seed(0)
    layers = tuple(nn.Linear(12, size, bias=bias) for size in (12, 8, 12))
    adapters = tuple(
        Adapter(
            index=index,
            a=nn.Parameter(torch.randn(rank, 12)),
            b=nn.Parameter(torch.randn(layers[index].out_features, rank)),
            scaling=1.5,
            dropout=nn.Dropout(p),
            site=f"{index}",
        )
        for index, rank in ((0, 3), (2, 1))
    )
    return Joined(layers=layers, adapters=adapters)


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("probability", [0.0, 0.2])
def test_joined_linear(bias: bool, probability: float, is_shared: bool) -> None:
    joined = joined_layers(bias=bias, p=probability)
    keys = {"0": 8, "2": 9}
    settings = LinearSettings.of(joined, rows_of(LENGTHS), keys.__getitem__)
    before = [layer.weight.detach().clone() for layer in joined.layers]
    with share_storage([joined]) if is_shared else nullcontext():
        assert_twins_agree(JoinedLinear, settings, [random(34, 12)], list(joined.parameters))
    for layer, weight in zip(joined.layers, before, strict=True):
        assert torch.equal(layer.weight, weight)
        assert layer.weight.untyped_storage().nbytes() == 4 * layer.weight.numel()


def test_frozen_layers_get_no_gradient() -> None:
    joined = joined_layers()
    for layer in joined.layers:
        layer.requires_grad_(False)
    x = random(34, 12).detach()
    keys = {"0": 8, "2": 9}
    settings = LinearSettings.of(joined, rows_of(LENGTHS), keys.__getitem__)
    apply(JoinedLinear, settings, x).sum().backward()
    assert all(layer.weight.grad is None for layer in joined.layers)
    assert all(adapter.a.grad is not None for adapter in joined.adapters)
    assert x.grad is None
