"""Matrix products by the library that torch brings, called from the compiled loop as kernels are.

torch's Linux packages hold MKL and export its BLAS functions: `sgemm`, and `gemm_bf16bf16f32`,
which takes factors in bfloat16 and sums in float32. On a processor with matrix units for bfloat16
the latter uses them, and on others it computes the same products with float32's. Elsewhere
`IS_THERE` is False, and nothing here may be called.

Legend: R rows, K depth, N columns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from peftlab.models.fused.jit import HAS_NUMBA, inline, kernel, prange
from peftlab.models.fused.launch import EntryPoint, launch
from peftlab.models.fused.matmul import SIZE, Product, product_of
from peftlab.models.fused.tiles import read, write

f32 = np.float32
FUNCTIONS = {"sgemm": "peftlab_sgemm", "gemm_bf16bf16f32": "peftlab_gemm_bf16bf16f32"}
"""The library's functions, and the names under which compiled code finds them."""


def _find_functions() -> bool:
    """Make the library's functions known to compiled code; return whether they are there."""
    if not HAS_NUMBA:
        return False
    from llvmlite import binding

    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        found = {name: getattr(library, f"{name}_") for name in FUNCTIONS}
    except (OSError, AttributeError):
        return False
    for name, function in found.items():
        address = ctypes.cast(function, ctypes.c_void_p).value
        binding.add_symbol(FUNCTIONS[name], address)
    return True


IS_THERE: bool = _find_functions()
single_product: Callable[..., None]
rounded_product: Callable[..., None]

if HAS_NUMBA:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    INT, FLOAT, BYTE = ir.IntType(32), ir.FloatType(), ir.IntType(8)
    ANY = BYTE.as_pointer()
    BLAS = ir.FunctionType(ir.VoidType(), [ANY] * 13)
    SIGNATURE = types.void(*[types.int64] * 11, types.float32, types.float32)

    def _call_of(name: str) -> Any:
        """Return the function that generates the call of one of the library's products.

        BLAS counts columns first, and so computes the transpose: out.T = b.T @ a.T.
        """

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_row, a_flips, b, b_row, b_flips, out, out_row, *others = arguments
            rows, columns, depth, scale, kept = others

            def held(value: Any, kind: Any) -> Any:
                place = cgutils.alloca_once(builder, kind)
                builder.store(value, place)
                return builder.bitcast(place, ANY)

            def number(value: Any) -> Any:
                return held(builder.trunc(value, INT), INT)

            def letter(flips: Any) -> Any:
                is_set = builder.icmp_signed("!=", flips, ir.Constant(flips.type, 0))
                yes, no = (ir.Constant(BYTE, ord(letter)) for letter in "TN")
                return held(builder.select(is_set, yes, no), BYTE)

            def pointer(address: Any) -> Any:
                return builder.inttoptr(address, ANY)

            function = cgutils.get_or_insert_function(builder.module, BLAS, FUNCTIONS[name])
            builder.call(
                function,
                [
                    letter(b_flips), letter(a_flips),
                    number(columns), number(rows), number(depth),
                    held(scale, FLOAT), pointer(b), number(b_row), pointer(a), number(a_row),
                    held(kept, FLOAT), pointer(out), number(out_row),
                ],
            )  # fmt: skip
            return context.get_dummy_value()

        return generate

    @intrinsic  # type: ignore[untyped-decorator]
    def single_product(
        typing_context: Any, a: Any, a_row: Any, a_flips: Any, b: Any, b_row: Any, b_flips: Any,
        out: Any, out_row: Any, rows: Any, columns: Any, depth: Any, scale: Any, kept: Any,
    ) -> Any:  # fmt: skip
        """Set out = kept * out + scale * a @ b, of float32.

        A matrix is an address and a distance; if it `flips`, its columns lie one after another
        instead of its rows.
        """
        return SIGNATURE, _call_of("sgemm")

    @intrinsic  # type: ignore[untyped-decorator]
    def rounded_product(
        typing_context: Any, a: Any, a_row: Any, a_flips: Any, b: Any, b_row: Any, b_flips: Any,
        out: Any, out_row: Any, rows: Any, columns: Any, depth: Any, scale: Any, kept: Any,
    ) -> Any:  # fmt: skip
        """Set out = kept * out + scale * a @ b, with a and b of bfloat16 and out of float32."""
        return SIGNATURE, _call_of("gemm_bf16bf16f32")


@kernel
def _fill(out: int, out_row: int, start: int, rows: int, columns: int) -> None:
    """Set each row of the output to the start."""
    for i in prange(rows):
        for j in range(columns):
            write(out + SIZE * (i * out_row + j), read(start + SIZE * j))


@inline
def _begin(n: Product) -> np.float32:
    """Put the start into the output, unless it is there; return the share of it that is kept."""
    if not n.has_start:
        return f32(0.0)
    if n.start != n.out:
        _fill(n.out, n.out_row, n.start, n.rows, n.columns)
    return f32(1.0)


@inline
def _distance(row: int, step: int, rows: int, columns: int) -> int:
    """Return the distance between a matrix's rows, or between its columns if it flips.

    That of a single row is of no account, but BLAS wants it to be as long as the row.
    """
    return max(row, columns) if step == 1 else max(step, rows)


if IS_THERE:

    @EntryPoint
    def _single(n: Product) -> None:
        kept = _begin(n)
        single_product(
            n.a, _distance(n.a_row, n.a_step, n.rows, n.depth), n.a_step != 1,
            n.b, max(n.b_row, n.depth if n.b_transposed != 0 else n.columns), n.b_transposed,
            n.out, max(n.out_row, n.columns),
            n.rows, n.columns, n.depth, f32(n.scale), kept,
        )  # fmt: skip

    @EntryPoint
    def _rounded(n: Product) -> None:
        kept = _begin(n)
        rounded_product(
            n.a, _distance(n.a_row, n.a_step, n.rows, n.depth), n.a_step != 1,
            n.b, max(n.b_row, n.depth if n.b_transposed != 0 else n.columns), n.b_transposed,
            n.out, max(n.out_row, n.columns),
            n.rows, n.columns, n.depth, f32(n.scale), kept,
        )  # fmt: skip


def multiply(a: Tensor, b: Tensor, out: Tensor, start: Tensor | None, scale: float) -> None:
    """Set out = start + scale * a @ b, for matrices a [R, K] and b [K, N].

    Both factors are float32, or both bfloat16. `start` is one row, or `out` itself, or None for
    zeros.
    """
    entry_point = _rounded if a.dtype is torch.bfloat16 else _single
    launch(entry_point, product_of(a, b, out, start, scale))
