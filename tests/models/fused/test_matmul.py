"""The kernels for matrix products give torch's results, for every shape and layout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from peftlab.models.fused.choices import CHOICE, Choices, available, using
from peftlab.models.fused.matmul import DEPTH, PAGE
from peftlab.models.fused.products import add_matmul, linear, matmul
from peftlab.models.fused.rounding import rounds
from peftlab.models.fused.tiles import HEIGHT, LANES, WIDTH

SHAPES = [
    (1, 1, 1),
    (3, 5, 2),
    (HEIGHT, LANES, WIDTH),
    (HEIGHT + 1, LANES + 1, WIDTH + 1),
    (40, 1, LANES),
    (1, 40, 3 * WIDTH),
    (3 * HEIGHT - 1, 2 * DEPTH + 7, 2 * WIDTH - LANES - 1),
    (20, PAGE, 2 * WIDTH),  # rows that a cache would keep in the same few places
    (213, 48, 150),
]
"""The sizes: rows, depth and columns."""


@pytest.fixture(params=available())
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Compute all products by one of the kernels."""
    monkeypatch.setenv(CHOICE, request.param)
    with using(Choices()):
        yield request.param


@pytest.fixture(params=[False, True], ids=["fp32", "bf16"])
def is_rounded(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Round the factors of products to bfloat16, or do not."""
    with torch.autocast("cpu", torch.bfloat16, enabled=request.param):
        yield request.param


every_kernel = pytest.mark.usefixtures("kernel", "is_rounded")


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_is_product(
    found: Tensor, a: Tensor, b: Tensor, start: Tensor | None = None, scale: float = 1.0
) -> None:
    """Assert that it is the product, to the rounding of a sum of as many terms."""
    if rounds():
        a, b = a.bfloat16(), b.bfloat16()
    exact = scale * (a.double() @ b.double()) + (0 if start is None else start.double())
    bound = 1e-6 * (abs(scale) * (a.abs().double() @ b.abs().double()) + 1)
    assert bool(((found.double() - exact).abs() <= bound).all())


@every_kernel
@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_the_product_is_right_in_every_layout(rows: int, depth: int, columns: int) -> None:
    a, b = random(rows, depth, seed=0), random(depth, columns, seed=1)
    for left in (a, a.T.contiguous().T):
        for right in (b, b.T.contiguous().T):
            assert_is_product(matmul(left, right), a, b)
            assert_is_product(matmul(left, right, scale=-0.5), a, b, scale=-0.5)


@every_kernel
@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_a_linear_layer(rows: int, depth: int, columns: int) -> None:
    x, weight = random(rows, depth, seed=0), random(columns, depth, seed=1)
    bias = random(columns, seed=2)
    assert_is_product(linear(x, weight, bias), x, weight.T, bias)
    assert_is_product(linear(x, weight), x, weight.T)


@every_kernel
@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_columns_of_something_wider_are_read_and_written(
    rows: int, depth: int, columns: int
) -> None:
    wide, a, b = random(rows, columns + 9, seed=0), random(rows, depth, seed=1), None
    b = random(depth, columns, seed=2)
    part, before = wide[:, 4 : 4 + columns], wide.clone()
    add_matmul(part, a, b, scale=2.0)
    assert_is_product(part, a, b, before[:, 4 : 4 + columns], scale=2.0)
    matmul(a, b, out_RN=part)
    assert_is_product(part, a, b)
    assert torch.equal(wide[:, :4], before[:, :4])
    assert torch.equal(wide[:, 4 + columns :], before[:, 4 + columns :])
    assert_is_product(matmul(part, b.T), part, b.T)
    assert_is_product(matmul(part.T, a), part.T, a)


@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_a_row_does_not_depend_on_the_others_nor_on_the_threads(
    rows: int, depth: int, columns: int
) -> None:
    a, b = random(rows, depth, seed=0), random(depth, columns, seed=1)
    whole, threads = matmul(a, b), torch.get_num_threads()
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            assert torch.equal(matmul(a, b), whole)
            assert torch.equal(matmul(a[rows // 2 :], b), whole[rows // 2 :])
    finally:
        torch.set_num_threads(threads)


@every_kernel
def test_not_a_number_stays_in_its_row_and_column() -> None:
    a, b = random(30, 20, seed=0), random(20, 40, seed=1)
    a[7, 3] = float("nan")
    b[2, 33] = float("inf")
    is_finite = matmul(a, b).isfinite()
    assert not is_finite[7].any()
    assert not is_finite[:, 33].any()
    is_finite[7], is_finite[:, 33] = True, True
    assert is_finite.all()


NARROW = """
import peftlab.models, torch
from peftlab.models.fused import tiles
from peftlab.models.fused.products import matmul
torch.manual_seed(0)
for rows, depth, columns in ((1, 1, 1), (29, 37, 50)):
    a, b = torch.randn(rows, depth), torch.randn(columns, depth)
    for left, right in ((a, b.T), (a, b.T.contiguous()), (a.T.contiguous().T, b.T)):
        assert torch.allclose(matmul(left, right), a @ b.T, atol=1e-4)
print(tiles.LANES)
"""


@pytest.mark.skipif(LANES < 8, reason="this processor has no wider vectors than the narrowest")
@pytest.mark.parametrize(("features", "lanes"), [("+sse2", 4), ("+sse2,+avx,+avx2,+fma", 8)])
def test_processors_with_narrower_vectors(features: str, lanes: int, tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NARROW],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": features,
            "NUMBA_CACHE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == str(lanes)
