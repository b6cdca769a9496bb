"""Which kernel computes a product: measured once, kept, and the same where a training goes on.

Rounding to bfloat16 is torch's, and what is fixed is rounded once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from peftlab.core.errors import UserError
from peftlab.models.fused import choices
from peftlab.models.fused.choices import CHOICE, Choices, asked_for, available, using
from peftlab.models.fused.launch import noting
from peftlab.models.fused.product_kernels import LIBRARY, OWN, Layout, Shape
from peftlab.models.fused.products import Fixed, linear, matmul
from peftlab.models.fused.rounding import rounded

UP = Shape("forward", 24, 40, is_rounded=False, few=False)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on which no product has been measured; the folder of what will be."""
    monkeypatch.delenv(CHOICE, raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with using(Choices()):
        yield tmp_path


def odd_numbers() -> Tensor:
    """Return numbers of all kinds: ordinary, halfway between two, tiny, infinite and none."""
    bits = torch.tensor([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x00000001, 0x80008000])
    halfway = bits.to(torch.int32).view(torch.float32)
    none = torch.tensor([0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF - 2**32]).to(torch.int32)
    rest = torch.tensor([float("inf"), -float("inf"), 0.0, -0.0])
    drawn = torch.randn(86, generator=torch.Generator().manual_seed(0))
    return torch.cat([halfway, none.view(torch.float32), rest, drawn])


@pytest.mark.parametrize("columns", [1, 3, 9, 11, 33, 99])
def test_numbers_are_rounded_as_torch_rounds_them(columns: int) -> None:
    x = odd_numbers().view(-1, columns)
    for matrix in (x, x.T, torch.cat([x, x], dim=1)[:, 1 : 1 + columns]):
        expected = matrix.bfloat16()
        for dtype in (torch.bfloat16, torch.float32):
            found = rounded(matrix, dtype)
            assert found.dtype is dtype
            is_number = ~expected.isnan()
            assert torch.equal(found.isnan(), ~is_number)
            assert torch.equal(found[is_number].double(), expected[is_number].double())


def test_what_is_fixed_is_rounded_once_also_while_kernels_are_noted() -> None:
    x, weight = torch.randn(5, 24), torch.randn(40, 24)
    fixed = Fixed(weight)
    with torch.autocast("cpu", torch.bfloat16):
        with noting():
            linear(x, fixed)
        (kept,) = fixed.roundings
        assert torch.equal(kept.bfloat16(), weight.bfloat16())
        assert torch.equal(linear(x, fixed), linear(x, weight))
        dy = torch.randn(5, 40)
        assert torch.equal(matmul(dy, fixed), matmul(dy, weight))
    assert [one.data_ptr() for one in fixed.roundings] == [kept.data_ptr()]
    assert torch.equal(linear(x, fixed), linear(x, weight))


def test_shapes_differ_by_what_is_constant_in_a_layer() -> None:
    def name(a: Tensor, b: Tensor) -> str:
        return Shape.of(a, b, is_rounded=False).name

    x, weight, dy = torch.empty(213, 24), torch.empty(40, 24), torch.empty(213, 40)
    assert name(x, weight.T) == "forward, 24 x 40, tokens, fp32"
    assert name(x[:16], weight.T) == "forward, 24 x 40, examples, fp32"
    assert name(dy, weight) == "to the input, 40 x 24, tokens, fp32"
    assert name(dy.T, x) == "to the weights, 40 x 24, tokens, fp32"
    assert name(x[:99], weight.T) == name(x, weight.T)


@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("layout", ["forward", "to the input", "to the weights"])
@pytest.mark.parametrize("few", [False, True])
def test_a_shape_that_is_not_known_is_measured_once(
    layout: Layout, rounds: bool, few: bool, machine: Path
) -> None:
    shape = Shape(layout, 24, 40, is_rounded=rounds, few=few)
    found = Choices().of(shape)
    assert found in available()
    (file,) = machine.rglob("products-*.json")
    assert json.loads(file.read_bytes()) == {shape.name: found}


def test_what_the_machine_has_found_is_not_measured_again(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faster(shape: Shape) -> str:
        asked.append(shape)
        return available()[-1]

    asked: list[Shape] = []
    monkeypatch.setattr(choices, "faster", faster)
    first = Choices().of(UP)
    monkeypatch.setattr(choices, "faster", lambda shape: pytest.fail("it was measured again"))
    assert first == available()[-1]
    assert Choices().of(UP) == first
    assert asked == [UP]


@pytest.mark.parametrize("content", ["", "[]", '{"forward, 24 x 40, tokens, fp32": "none"}'])
def test_a_file_that_tells_nothing_is_written_anew(content: str, machine: Path) -> None:
    Choices().of(UP)
    (file,) = machine.rglob("products-*.json")
    file.write_text(content)
    assert Choices().of(UP) in available()
    assert json.loads(file.read_bytes())[UP.name] in available()


@pytest.mark.skipif(LIBRARY not in available(), reason="torch brings no library here")
def test_the_faster_kernel_is_chosen_if_it_gains_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, chosen in (({OWN: 1.0, LIBRARY: 0.8}, LIBRARY), ({OWN: 1.0, LIBRARY: 0.9}, OWN)):
        times = {id(choices.PRODUCT_KERNELS[name]): taken for name, taken in seconds.items()}
        monkeypatch.setattr(choices, "_seconds", lambda kernel, *_, t=times: t[id(kernel)])
        assert choices.faster(UP) == chosen


def test_a_kernel_that_is_asked_for_computes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in available():
        monkeypatch.setenv(CHOICE, name)
        assert Choices().of(UP) == name
        assert Choices({UP.name: OWN}).of(UP) == OWN  # as in the checkpoint that it goes on from
    monkeypatch.setenv(CHOICE, "mkl")
    with pytest.raises(UserError, match="no kernel for products 'mkl' here"):
        asked_for()
