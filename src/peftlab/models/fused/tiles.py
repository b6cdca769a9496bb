"""The inner loops of a matrix product, written in LLVM's terms for the vectors of this processor.

A tile of the output, HEIGHT rows by WIDTH columns, is held in vector registers while it sums over
the depth; its size follows from how many a processor has (Goto and van de Geijn 2008, Anatomy of
high-performance matrix multiplication). numba's own loops do not keep a tile in registers.

Matrices are given by their address, since passing an array to a kernel is much slower, and steps
are counted in elements of float32. Nothing is checked. Without numba nothing here can be called,
and matmul.py does not do so.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from peftlab.models.fused.jit import HAS_NUMBA

ROWS_OF_REGISTERS = {16: 14, 8: 6, 4: 8}
"""A tile's rows by the lanes of a vector: two vectors per row, some left for the factors."""


def _lanes() -> int:
    """Return the number of float32 in a vector register, for the processor that numba targets."""
    from llvmlite import binding
    from numba import config

    found: set[str]
    if config.CPU_FEATURES is None:
        found = {name for name, is_there in binding.get_host_cpu_features().items() if is_there}
    else:
        stated = config.CPU_FEATURES.split(",")
        found = {name.removeprefix("+") for name in stated if name.startswith("+")}
    if "avx512f" in found:
        return 16
    return 8 if "avx" in found else 4


LANES = _lanes() if HAS_NUMBA else 4
VECTORS = 2
WIDTH = VECTORS * LANES
HEIGHT = ROWS_OF_REGISTERS[LANES]

address_of: Callable[[Any], int]
read: Callable[[int], Any]
write: Callable[[int, Any], None]
multiply_tile: Callable[..., None]
transpose_square: Callable[..., None]
copy_row: Callable[..., None]
prefetch: Callable[[int], None]

if HAS_NUMBA:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    FLOAT, INDEX, INT = ir.FloatType(), ir.IntType(64), ir.IntType(32)
    VECTOR = ir.VectorType(FLOAT, LANES)
    MAY_FUSE = ("contract",)

    def _pointer(builder: Any, address: Any) -> Any:
        return builder.inttoptr(address, FLOAT.as_pointer())

    def _at(builder: Any, pointer: Any, offset: Any) -> Any:
        return builder.gep(pointer, [offset])

    def _load(builder: Any, pointer: Any) -> Any:
        loaded = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
        loaded.align = 4
        return loaded

    def _store(builder: Any, vector: Any, pointer: Any) -> None:
        stored = builder.store(vector, builder.bitcast(pointer, VECTOR.as_pointer()))
        stored.align = 4

    def _number(value: int) -> Any:
        return ir.Constant(INDEX, value)

    def _lanes_constant(lanes: list[int]) -> Any:
        return ir.Constant(ir.VectorType(INT, LANES), lanes)

    def _spread(builder: Any, scalar: Any) -> Any:
        """Return a vector that has the scalar in all lanes."""
        nothing = ir.Constant(VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, scalar, ir.Constant(INT, 0))
        return builder.shuffle_vector(first, nothing, _lanes_constant([0] * LANES))

    def _generate_rows(
        builder: Any,
        num_rows: int,
        num_vectors: int,
        a: Any,
        a_row: Any,
        a_step: Any,
        panel: Any,
        start: Any,
        start_row: Any,
        out: Any,
        out_row: Any,
        depth: Any,
    ) -> None:
        """Generate the loop for a tile of these rows and vectors; the builder is left after it."""
        rows, vectors = range(num_rows), range(num_vectors)
        a_rows = [_at(builder, a, builder.mul(a_row, _number(i))) for i in rows]
        starts = []
        for i in rows:
            row = _at(builder, start, builder.mul(start_row, _number(i)))
            starts.append([_load(builder, _at(builder, row, _number(j * LANES))) for j in vectors])
        before = builder.block
        loop, done = builder.append_basic_block("depth"), builder.append_basic_block("stored")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(INDEX)
        k.add_incoming(_number(0), before)
        sums = [[builder.phi(VECTOR) for _ in vectors] for _ in rows]
        panel_row = _at(builder, panel, builder.mul(k, _number(WIDTH)))
        b = [_load(builder, _at(builder, panel_row, _number(j * LANES))) for j in vectors]
        k_offset = builder.mul(k, a_step)
        new = []
        for i in rows:
            factor = _spread(builder, builder.load(_at(builder, a_rows[i], k_offset)))
            terms = [builder.fmul(factor, b[j], flags=MAY_FUSE) for j in vectors]
            new.append([builder.fadd(sums[i][j], terms[j], flags=MAY_FUSE) for j in vectors])
        next_k = builder.add(k, _number(1))
        k.add_incoming(next_k, loop)
        for i in rows:
            for j in vectors:
                sums[i][j].add_incoming(starts[i][j], before)
                sums[i][j].add_incoming(new[i][j], loop)
        builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, done)
        builder.position_at_end(done)
        for i in rows:
            row = _at(builder, out, builder.mul(out_row, _number(i)))
            for j in vectors:
                _store(builder, new[i][j], _at(builder, row, _number(j * LANES)))

    @intrinsic  # type: ignore[untyped-decorator]
    def address_of(typing_context: Any, x: Any) -> Any:
        """Return the address of an array's first element. The array must be used again after the
        last use of the address, or it may have been freed."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, value=arguments[0])
            return builder.ptrtoint(array.data, INDEX)

        return types.int64(x), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def read(typing_context: Any, address: Any) -> Any:
        """Return the element at the address."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(_pointer(builder, arguments[0]))

        return types.float32(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def write(typing_context: Any, address: Any, value: Any) -> Any:
        """Write an element at the address."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            builder.store(arguments[1], _pointer(builder, arguments[0]))
            return context.get_dummy_value()

        return types.void(types.int64, types.float32), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def multiply_tile(
        typing_context: Any,
        num_rows: Any,
        num_vectors: Any,
        a: Any,
        a_row: Any,
        a_step: Any,
        panel: Any,
        start: Any,
        start_row: Any,
        out: Any,
        out_row: Any,
        depth: Any,
    ) -> Any:
        """Set out[i, j] = start[i, j] + sum over k of a[i, k] * panel[k, j].

        Element a[i, k] is at `a_row` * i + `a_step` * k after `a`, `panel` is [depth, WIDTH], and a
        `start_row` of 0 takes the same row each time. There are 1 to HEIGHT rows and 1 to VECTORS
        times LANES columns, and the depth is at least 1.
        """

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows, vectors, *rest = arguments
            a, a_row, a_step, panel, start, start_row, out, out_row, depth = rest
            a, panel, start, out = (_pointer(builder, x) for x in (a, panel, start, out))
            end = builder.append_basic_block("end")
            kind = builder.add(builder.mul(vectors, _number(HEIGHT + 1)), rows)
            choice = builder.switch(kind, end)
            for size in product(range(1, HEIGHT + 1), range(1, VECTORS + 1)):
                block = builder.append_basic_block("tile_{}_{}".format(*size))
                choice.add_case(_number(size[1] * (HEIGHT + 1) + size[0]), block)
                builder.position_at_end(block)
                _generate_rows(
                    builder, *size, a, a_row, a_step, panel, start, start_row, out, out_row, depth
                )
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def transpose_square(
        typing_context: Any, x: Any, x_row: Any, last: Any, out: Any, out_row: Any
    ) -> Any:
        """Set out[j, i] = x[i, j] for LANES rows and columns: a butterfly of two-vector shuffles.

        The rows of x after the `last` are treated as copies of it.
        """

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, x_row, last, out, out_row = arguments
            x, out = _pointer(builder, x), _pointer(builder, out)
            rows = []
            for i in range(LANES):
                is_there = builder.icmp_signed("<=", _number(i), last)
                row = builder.mul(x_row, builder.select(is_there, _number(i), last))
                rows.append(_load(builder, _at(builder, x, row)))
            step = 1
            while step < LANES:
                low = [j - step + LANES if j & step else j for j in range(LANES)]
                high = [j + LANES if j & step else j + step for j in range(LANES)]
                for i in range(LANES):
                    if not i & step:
                        pair = rows[i], rows[i | step]
                        rows[i] = builder.shuffle_vector(*pair, _lanes_constant(low))
                        rows[i | step] = builder.shuffle_vector(*pair, _lanes_constant(high))
                step *= 2
            for i in range(LANES):
                _store(builder, rows[i], _at(builder, out, builder.mul(out_row, _number(i))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def copy_row(typing_context: Any, x: Any, out: Any) -> Any:
        """Copy WIDTH elements of x to out."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, out = (_pointer(builder, address) for address in arguments)
            row = [_load(builder, _at(builder, x, _number(j * LANES))) for j in range(VECTORS)]
            for j in range(VECTORS):
                _store(builder, row[j], _at(builder, out, _number(j * LANES)))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch(typing_context: Any, address: Any) -> Any:
        """Prefetch the cache line at the address; an invalid address does no harm."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(builder, arguments[0])
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, INT, INT, INT])
            name = "llvm.prefetch.p0"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            reading, keep, data = (ir.Constant(INT, value) for value in (0, 2, 1))
            builder.call(function, [pointer, reading, keep, data])
            return context.get_dummy_value()

        return types.void(types.int64), generate
