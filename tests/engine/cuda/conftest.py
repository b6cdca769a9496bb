"""The kernels of a GPU are run by Triton's interpreter."""

from __future__ import annotations

from tests.models.interpreter import interpreted

__all__ = ["interpreted"]
