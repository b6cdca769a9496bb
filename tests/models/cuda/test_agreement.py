"""Kernels are compared with their plain twins on the card, and those that differ are not used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig

from peftlab.core.progress import watched_by
from peftlab.models.fused import backends
from tests.models.stages import Watcher

pytest.importorskip("triton", reason="the GPU's kernels are tested where Triton is installed")

from peftlab.models.cuda import agreement, comparison
from peftlab.models.cuda.agreement_cases import Sizes
from peftlab.models.cuda.gelu import GeluKernels
from peftlab.models.cuda.operations import KERNELS
from peftlab.models.fused.gelu import Gelu

CPU = torch.device("cpu")
TINY = Sizes(num_heads=2, head_width=4, inner=9, rank=2, lengths=(3, 1, 2))


def checks(**given: Any) -> dict[str, comparison.Check]:
    return comparison.checks(CPU, every_size=[TINY], precisions=["fp32"], **given)


def test_everything_that_a_back_end_brings_is_compared() -> None:
    assert sorted(checks()) == sorted(agreement.NAMES)


@pytest.mark.parametrize("name", [*(one.__name__ for one in KERNELS), backends.ADAMW])
def test_kernels_that_are_right_agree(name: str) -> None:
    assert checks()[name]() is None


class WrongSlope(GeluKernels):
    """GELU whose gradient is off by a thousandth."""

    @staticmethod
    def backward(settings: Any, kept: Any, gradient: Tensor, inputs: Any, gradients: Any) -> None:
        GeluKernels.backward(settings, kept, gradient * 1.001, inputs, gradients)


class NoNumber(GeluKernels):
    """GELU that gives NaN at one place."""

    @staticmethod
    def forward(settings: Any, *inputs: Tensor) -> tuple[Tensor, Any]:
        out, kept = GeluKernels.forward(settings, *inputs)
        out[0, 0] = torch.nan
        return out, kept


@pytest.mark.parametrize(
    ("broken", "words"),
    [(WrongSlope, "differs by 0.001 in fp32"), (NoNumber, "differs by inf in fp32")],
)
def test_a_kernel_that_is_broken_is_told_apart(broken: type[GeluKernels], words: str) -> None:
    assert checks(kernels={**KERNELS, Gelu: broken})["Gelu"]() == words


def test_a_mask_of_dropout_that_differs_at_one_place_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peftlab.models.cuda import dropout

    draw = dropout._dropped

    def off_by_one(settings: Any, x_RC: Tensor) -> Tensor:
        out_RC = draw(settings, x_RC)
        out_RC[1, 2] = x_RC[1, 2] - out_RC[1, 2]
        return out_RC

    monkeypatch.setattr(dropout, "_dropped", off_by_one)
    assert str(checks()["Dropout"]()).startswith("differs by")


@pytest.mark.parametrize("is_played_right", [True, False])
def test_a_graph_is_played_with_other_numbers(
    is_played_right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def capture(prepare: Any, program: Any) -> Any:
        return program if is_played_right else lambda: None

    monkeypatch.setattr(comparison, "TRITON", replace(backends.TRITON, capture=capture))
    assert (checks()[backends.GRAPH]() is None) == is_played_right


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A card whose kernels the stand-in for the process compares; the folder of what is found."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(agreement, "PROCESS", "tests.models.cuda.failing_process")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(agreement, "_HERE", {})
    agreement._lacking.cache_clear()
    yield tmp_path
    agreement._lacking.cache_clear()


WRONG = {
    "Attention": "ends the process that tries it, or takes too long",
    "Gelu": "differs by 0.3 in bf16",
}


def test_what_differs_is_found_once_and_kept_beside_the_kernels(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cuda", 0)
    assert agreement.known_lacking(device) is None
    watcher = Watcher()
    with watched_by(watcher):
        assert agreement.lacking() == WRONG
    assert watcher.seen[-1].done == len(agreement.NAMES)
    assert {one.words for one in watcher.seen} == {agreement.WORDS}
    agreement._lacking.cache_clear()
    monkeypatch.setattr(agreement, "_HERE", {})
    monkeypatch.setattr(agreement, "_compared", lambda *given: pytest.fail("compared again"))
    assert agreement.lacking() == agreement.known_lacking(device) == WRONG
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another card")
    assert agreement.known_lacking(device) is None


def test_kernels_are_compared_again_at_the_sizes_of_another_model(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what differs at the sizes of one is lacking for all."""
    agreement.lacking()
    compared: list[Any] = []

    def found(device: torch.device, every_size: Any) -> agreement.Found:
        compared.append(every_size)
        return {name: "differs" if name == "TakeRows" else None for name in agreement.NAMES}

    monkeypatch.setattr(agreement, "_compared", found)
    config = BertConfig(hidden_size=1024, num_attention_heads=16, intermediate_size=4096)
    sizes = Sizes.of(config)
    assert {(one.width, one.head_width, one.inner) for one in sizes} == {(1024, 64, 4096)}
    for _ in range(2):
        agreement.compare_at(sizes)
    assert compared == [sizes]
    assert agreement.lacking() == {**WRONG, "TakeRows": "differs"}
    assert Sizes.of(object()) == ()


def test_where_nothing_can_be_tried_it_is_said_once_and_tried_again_the_next_time(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "PROCESS", "tests.models.cuda.no_such_process")
    wrong = agreement.lacking()
    assert agreement.in_words(wrong, "a card") == (
        "the Triton kernels are not used on a card: each cannot be tried: "
        "its process does not start"
    )
    assert [*card.iterdir()] == []


def test_operations_that_differ_are_left_to_their_plain_twins(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PEFTLAB_KERNELS", raising=False)
    kernels_of = backends.TRITON.kernels_of
    assert kernels_of(Gelu) is None
    lacking = {one.__name__ for one in KERNELS if kernels_of(one) is None}
    assert lacking == WRONG.keys()
    assert agreement.in_words(WRONG, "a card") == (
        "on a card plain PyTorch stands in for these kernels: Attention ends the process that "
        "tries it, or takes too long; Gelu differs by 0.3 in bf16"
    )
    monkeypatch.setenv("PEFTLAB_KERNELS", "triton")  # which is taken at its word
    assert kernels_of(Gelu) is GeluKernels
