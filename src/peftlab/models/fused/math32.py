"""Elementary functions for the kernels that vectorise, in single precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from peftlab.models.fused.jit import HAS_NUMBA, inline

f32, i32 = np.float32, np.int32
ZERO = f32(0.0)

if HAS_NUMBA:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def _as_float(typing_context: Any, x: Any) -> Any:
        """Return the float32 with the bits of an int32."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], ir.FloatType())

        return types.float32(types.int32), generate


@inline
def exponential(x: np.float32) -> np.float32:
    """Return e**x for x up to 88, to 2 units in the last place; below -87 it stays at e**-87.

    With x = n ln 2 + r, e**r is a polynomial of degree 7 and 2**n is set by its exponent bits. The
    constants are from Moshier's Cephes library (expf). numba's own exp is called for one element at
    a time.
    """
    x = max(x, f32(-87.0))
    n = f32(math.floor(x * f32(1.4426950408889634) + f32(0.5)))
    r = x - n * f32(0.693359375)
    r = r + n * f32(2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + f32(1.0)
    return f32(p * _as_float(i32((i32(n) + i32(127)) << i32(23))))
