"""Which kernels compute on a device: what the environment asks for, and what a user is told."""

from __future__ import annotations

import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.engine.devices.accelerators import Cuda
from peftlab.engine.devices.processor import Processor
from peftlab.models.fused import backends


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """A card on a machine without Triton, of which nothing is known but its name and capability."""
    monkeypatch.delenv("PEFTLAB_KERNELS", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(backends, "HAS_TRITON", False)
    backends._capability.cache_clear()
    return Cuda("cuda")


def test_where_triton_is_missing_one_line_says_what_to_install(card: Cuda) -> None:
    card.make_ready()
    assert card.remarks() == [
        "training on a card is much faster with Triton: pip install 'peftlab[gpu]'"
    ]
    assert backends.why_no_triton(card.torch) == "Triton is not installed"


@pytest.mark.parametrize("choice", ["off", "numba"])
def test_who_has_put_kernels_off_is_told_nothing(
    choice: str, card: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEFTLAB_KERNELS", choice)
    card.make_ready()
    assert card.remarks() == []
    assert backends.why_no_triton(card.torch) == f"PEFTLAB_KERNELS={choice}"


def test_kernels_that_are_asked_for_and_not_installed_are_an_error(
    card: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEFTLAB_KERNELS", "triton")
    with pytest.raises(UserError, match=r"Triton are asked for.*pip install 'peftlab\[gpu\]'"):
        card.make_ready()
    monkeypatch.setattr(backends, "HAS_TRITON", True)
    card.make_ready()  # and nothing is compared


def test_cards_before_ampere_have_no_kernels_and_nothing_to_install(
    card: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "HAS_TRITON", True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    card.make_ready()
    assert card.remarks() == []
    assert backends.why_no_triton(card.torch) == "the card is older than Ampere"


def test_a_choice_that_there_is_not_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEFTLAB_KERNELS", "OFF")
    with pytest.raises(UserError, match=r"there are no kernels 'OFF'.*off, numba or triton"):
        Processor("cpu").make_ready()
