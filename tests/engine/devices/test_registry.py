"""A device is one that computes here, by its name or by preference."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.engine.devices import registry
from peftlab.engine.devices.processor import Processor
from peftlab.engine.devices.registry import (
    DEVICES,
    device_here,
    is_everywhere,
    is_known,
    resolve,
    resource_of,
)


def test_a_device_by_name_and_by_default() -> None:
    assert isinstance(resolve("cpu"), Processor)
    assert resolve("cpu").torch == torch.device("cpu")
    assert resolve("auto").kind == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    "name", ["meta", "toaster", "nowhere", "cuda:99", "", "cpu:x", "mps", "\x1b"]
)
def test_what_does_not_compute_here_is_no_device(name: str) -> None:
    with pytest.raises(UserError, match=r"^--device: no device '.*' here \(allowed: auto, cpu"):
        resolve(name)
    assert device_here(name) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_what_a_machine_lacks_is_said() -> None:
    with pytest.raises(UserError, match="auto, cpu; cuda needs an NVIDIA card that PyTorch sees"):
        resolve("cuda")


def test_auto_takes_the_first_in_the_order_of_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "may_have_card", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve("auto").name == "cuda"
    assert resolve("cuda:1").name == "cuda:1"
    assert resolve("cpu").name == "cpu"
    with pytest.raises(UserError, match=r"allowed: auto, cpu, cuda, cuda:0, cuda:1\)"):
        resolve("cuda:2")


def test_what_is_known_of_a_name_without_looking() -> None:
    assert [is_everywhere(name) for name in ("auto", "cpu", "cuda", "toaster")] == [
        True, True, False, False
    ]  # fmt: skip
    assert [is_known(name) for name in ("auto", "cuda:7", "mps", "toaster")] == [
        True, True, True, False
    ]  # fmt: skip
    assert [resource_of(name) for name in ("auto", "cpu", "cuda:1")] == [None, "CPU", "GPU"]


def test_the_processor_is_found_without_torch() -> None:
    """Torch is not imported, and CUDA is not asked."""
    lines = (
        "import sys; from peftlab.engine.devices.registry import resolve",
        "assert resolve('cpu').model_name is not None and 'torch' not in sys.modules",
    )
    subprocess.run([sys.executable, "-c", "; ".join(lines)], check=True)


@pytest.mark.parametrize("kind", DEVICES.names())
def test_the_devices_of_every_kind_that_are_here_compute(kind: str) -> None:
    names = DEVICES.get(kind).names()
    if not names:
        pytest.skip("none is here, or none can be listed")
    for name in names:
        device = resolve(name)
        assert device.name == name
        device.synchronize()
        assert device.peak_flops_per_second(seconds=0.01) > 1e6
        assert isinstance(device.reset_peak_memory(), bool)
        peak = device.peak_memory_bytes()
        assert peak is None or peak > 0
        assert isinstance(device.model_name, str)
