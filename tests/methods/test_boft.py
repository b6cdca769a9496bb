"""BOFT is computed in torch on any device: its extension for GPUs is never built."""

from __future__ import annotations

from typing import Any

import pytest
from peft.tuners.boft import layer
from torch.utils import cpp_extension

from peftlab.methods.registry import METHODS
from tests.methods.conformance_model import tiny_bert


def test_no_compiler_is_asked_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """peft would have torch build the extension, which prints the compiler's errors."""

    def load(**given: Any) -> None:
        raise AssertionError("the extension is built")

    monkeypatch.setattr(cpp_extension, "load", load)
    monkeypatch.setattr(layer, "_FBD_CUDA", None)
    method = METHODS.get("boft")
    module = method.apply(tiny_bert(), method.resolve({}), seed=1)
    found = [child for child in module.modules() if isinstance(child, layer.BOFTLayer)]
    assert found
    assert not any(child.fbd_cuda_available for child in found)
    assert capfd.readouterr() == ("", "")
