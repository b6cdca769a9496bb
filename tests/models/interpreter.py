"""Triton's interpreter runs the kernels here, on the processor, where Triton is installed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from peftlab.models.fused import backends

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports models/cuda


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute operations on tensors of the processor by the Triton kernels alone."""
    pytest.importorskip("triton", reason="the GPU's kernels are tested where Triton is installed")
    monkeypatch.setenv("PEFTLAB_KERNELS", backends.UNTRIED)
    taken = replace(backends.TRITON, takes=lambda tensor: tensor.dtype == torch.float32)
    monkeypatch.setattr(backends, "BACKENDS", (taken,))
