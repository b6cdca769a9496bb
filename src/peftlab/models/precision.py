"""The precision in which PyTorch multiplies matrices of float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from peftlab.core.training import Precision


@contextmanager
def multiplying(precision: Precision) -> Iterator[None]:
    """Multiply float32 matrices within the block in full precision, or in TF32 if asked to."""
    backends: Any = torch.backends  # the types of which do not tell of the setting
    before = backends.fp32_precision
    backends.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        backends.fp32_precision = before
