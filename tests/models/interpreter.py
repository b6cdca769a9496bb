"""Triton's interpreter runs the kernels here, on the processor, where Triton is installed.

Triton puts its interpreted functions in place of the language's at every launch, and again at every
call of one kernel's function by another: a third of the time. Here that is done once for a test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FunctionType

import pytest
import torch

from peftlab.models.fused import backends

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports models/cuda


@contextmanager
def language_of_the_interpreter() -> Iterator[None]:
    """Put the interpreter's functions in place of the language's once for all launches."""
    import triton.language as tl
    from triton.runtime import interpreter

    # What is replaced are the functions of the modules that a kernel's globals name.
    scope = interpreter._patch_lang(
        FunctionType((lambda: None).__code__, {"tl": tl, "core": tl.core})
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interpreter, "_patch_lang", lambda kernel: interpreter._LangPatchScope())
            yield
    finally:
        scope.restore()


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute operations on tensors of the processor by the Triton kernels alone."""
    pytest.importorskip("triton", reason="the GPU's kernels are tested where Triton is installed")
    monkeypatch.setenv("PEFTLAB_KERNELS", backends.UNTRIED)
    taken = replace(backends.TRITON, takes=lambda tensor: tensor.dtype == torch.float32)
    monkeypatch.setattr(backends, "BACKENDS", (taken,))
    with language_of_the_interpreter():
        yield
