"""Linear layers that share their input: cuBLAS's product of all, and Triton kernels for LoRA.

Operands of the products have the type of x; gradients have the type of their parameters.

Legend: T tokens, D columns of x, W columns of all layers, S adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from peftlab.models.cuda import lora_kernels as kernels
from peftlab.models.cuda.jit import ceil_power_of_2, keys_on, precision_of
from peftlab.models.fused.generator import threshold_of
from peftlab.models.fused.linear import Joined, LinearSettings, add_parts, stacked
from peftlab.models.fused.operation import Gradients, Node

TOKENS, GRADIENT_TOKENS = 16, 32
"""Tokens of a tile, and those that a program of the weights' gradients takes at a time."""
COLUMNS, GRADIENT_COLUMNS = 128, 64
"""Columns likewise."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Where the adapters of a group of layers lie, on their device, as lora_kernels.py reads it."""

    integers_SF: Tensor
    scales_S2: Tensor
    num_gradients: int
    ranks: int
    most_columns: int


_tables: WeakKeyDictionary[Joined, tuple[Any, _Table]] = WeakKeyDictionary()

_rounded: WeakKeyDictionary[Joined, dict[int, tuple[Any, Tensor]]] = WeakKeyDictionary()
"""The rounded frozen parameters of each group, by the first of them."""


def _table_of(settings: LinearSettings) -> _Table:
    """Return the table of the adapters; it is made once, and again where parameters have moved."""
    joined = settings.joined
    known_by = (
        tuple((adapter.a.data_ptr(), adapter.b.data_ptr()) for adapter in joined.adapters),
        tuple(probability for _, probability in settings.dropouts),
    )
    found = _tables.get(joined)
    if found is None or found[0] != known_by:
        found = _tables[joined] = (known_by, _new_table(settings))
    return found[1]


def _new_table(settings: LinearSettings) -> _Table:
    adapters, device = settings.joined.adapters, settings.joined.adapters[0].a.device
    origin, size = adapters[0].a.data_ptr(), adapters[0].a.element_size()
    integers, scales, num_gradients = [], [], 0
    for adapter, (_, probability) in zip(adapters, settings.dropouts, strict=True):
        columns = settings.joined.columns[adapter.index]
        num_a, num_b = adapter.a.numel(), adapter.b.numel()
        integers.append(
            [
                (adapter.a.data_ptr() - origin) // size,
                (adapter.b.data_ptr() - origin) // size,
                len(adapter.a),
                columns.start,
                columns.stop - columns.start,
                num_gradients,
                num_gradients + num_a,
                threshold_of(probability),
            ]
        )
        scales.append([adapter.scaling, 1 / (1 - probability)])
        num_gradients += num_a + num_b
    return _Table(
        integers_SF=torch.tensor(integers, dtype=torch.int64, device=device),
        scales_S2=torch.tensor(scales, dtype=torch.float32, device=device),
        num_gradients=num_gradients,
        ranks=ceil_power_of_2(max(len(adapter.a) for adapter in adapters), least=16),
        most_columns=max(len(adapter.b) for adapter in adapters),
    )


@dataclass(frozen=True, kw_only=True)
class _Lora:
    """The adapters of a group of layers, launched on T rows x [T, D] and outputs y [T, W]."""

    settings: LinearSettings
    table: _Table
    x_TD: Tensor
    low_STr: Tensor
    key_S: Tensor

    @classmethod
    def of(cls, settings: LinearSettings, x_TD: Tensor) -> _Lora:
        """Return what follows from x; the low rows are not computed yet."""
        table, num_adapters = _table_of(settings), len(settings.joined.adapters)
        return cls(
            settings=settings,
            table=table,
            x_TD=x_TD,
            low_STr=x_TD.new_empty(num_adapters, len(x_TD), table.ranks),
            key_S=keys_on(x_TD.device, *(key for key, _ in settings.dropouts)),
        )

    def add_to(self, y_TW: Tensor) -> None:
        """Add what the adapters give."""
        shared, num_tiles, num_adapters = self._shared, self._num_tiles, len(self.low_STr)
        kernels.shrink_kernel[(num_tiles, num_adapters)](
            self.x_TD,
            *self._weights,
            *self._drawn,
            self.low_STr,
            len(self.x_TD),
            DEPTH=self.x_TD.shape[1],
            COLUMNS=_columns(self.x_TD.shape[1]),
            DROPS=self._drops,
            **shared,
        )
        columns = _columns(self.table.most_columns)
        kernels.expand_kernel[(num_tiles, num_adapters, -(-self.table.most_columns // columns))](
            y_TW,
            *self._weights,
            self.low_STr,
            len(self.x_TD),
            Y_ROW=y_TW.shape[1],
            COLUMNS=columns,
            **shared,
        )

    def differentiate(self, dy_TW: Tensor, dx_TD: Tensor | None, gradients: Gradients) -> None:
        """Add to the gradient of x, if that is given, and set those of A and B."""
        shared, num_tiles, num_adapters = self._shared, self._num_tiles, len(self.low_STr)
        num_tokens, depth = self.x_TD.shape
        dlow_STr = torch.empty_like(self.low_STr)
        kernels.shrink_gradient_kernel[(num_tiles, num_adapters)](
            dy_TW,
            *self._weights,
            dlow_STr,
            num_tokens,
            MOST=self.table.most_columns,
            Y_ROW=dy_TW.shape[1],
            COLUMNS=_columns(self.table.most_columns),
            **shared,
        )
        if dx_TD is not None:
            columns = _columns(depth)
            kernels.input_gradient_kernel[(num_tiles, -(-depth // columns))](
                dx_TD,
                *self._weights,
                *self._drawn,
                dlow_STr,
                num_tokens,
                ADAPTERS=num_adapters,
                DEPTH=depth,
                COLUMNS=columns,
                DROPS=self._drops,
                **shared,
            )
        adapters = self.settings.joined.adapters
        found = adapters[0].a.new_empty(self.table.num_gradients)
        most = max(depth, self.table.most_columns)
        columns = min(GRADIENT_COLUMNS, _columns(most))
        kernels.weights_kernel[(num_adapters, -(-most // columns))](
            self.x_TD,
            dy_TW,
            self.low_STr,
            dlow_STr,
            found,
            self.table.integers_SF,
            self.table.scales_S2,
            *self._drawn,
            num_tokens,
            DEPTH=depth,
            Y_ROW=dy_TW.shape[1],
            COLUMNS=columns,
            DROPS=self._drops,
            **{**shared, "BLOCK": GRADIENT_TOKENS},
        )
        matrices = [matrix for adapter in adapters for matrix in (adapter.a, adapter.b)]
        for matrix, part in zip(
            matrices, found.split([matrix.numel() for matrix in matrices]), strict=True
        ):
            if matrix.requires_grad:
                gradients[matrix] = part.view_as(matrix)

    @property
    def _num_tiles(self) -> int:
        return -(-len(self.x_TD) // TOKENS)

    @property
    def _drops(self) -> bool:
        return any(probability > 0 for _, probability in self.settings.dropouts)

    @property
    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        first = self.settings.joined.adapters[0].a.detach()
        return first, self.table.integers_SF, self.table.scales_S2

    @property
    def _drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        rows = self.settings.rows
        return self.key_S, rows.example_R, rows.position_R

    @property
    def _shared(self) -> dict[str, Any]:
        return {
            "RANKS": self.table.ranks,
            "BLOCK": TOKENS,
            "PRECISION": precision_of(self.x_TD.dtype),
        }


def _columns(size: int) -> int:
    return min(COLUMNS, ceil_power_of_2(size, least=16))


def operand_of(joined: Joined, parameters: tuple[nn.Parameter, ...], dtype: torch.dtype) -> Tensor:
    """Return parameters of a group, side by side, in the type of the product's other operand.

    Where none of them is trained, what was rounded is kept as long as they stay as they are.
    """
    if all(parameter.dtype == dtype for parameter in parameters):
        return stacked(parameters)
    if any(parameter.requires_grad for parameter in parameters):
        return stacked(parameters).to(dtype)
    known_by = (dtype, *((p.data_ptr(), p._version) for p in parameters))
    rounded = _rounded.setdefault(joined, {})
    found = rounded.get(id(parameters[0]))
    if found is None or found[0] != known_by:
        found = rounded[id(parameters[0])] = (known_by, stacked(parameters).to(dtype))
    return found[1]


class JoinedLinearKernels:
    """The kernels of `JoinedLinear`."""

    @staticmethod
    def forward(settings: LinearSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the products; x is kept where weights are trained, and what adapters read."""
        (x_TD,) = inputs
        joined = settings.joined
        weight_WD = operand_of(joined, joined.weights, x_TD.dtype)
        if joined.biases:
            bias_W = operand_of(joined, joined.biases, x_TD.dtype)
            y_TW = torch.addmm(bias_W, x_TD, weight_WD.T)
        else:
            y_TW = torch.mm(x_TD, weight_WD.T)
        lora = None
        if joined.adapters:
            lora = _Lora.of(settings, x_TD)
            lora.add_to(y_TW)
        return y_TW, (x_TD if joined.trains_weights else None, lora)

    @staticmethod
    def backward(
        settings: LinearSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of x and of all parameters that are trained."""
        joined, (x,), dy_TW = settings.joined, inputs, gradient
        x_TD, lora = kept
        if x.is_needed:
            x.add(torch.mm(dy_TW, operand_of(joined, joined.weights, dy_TW.dtype)))
        dtype = joined.weights[0].dtype
        add_parts(
            gradients, joined.weights, joined.columns, lambda: torch.mm(dy_TW.T, x_TD).to(dtype)
        )
        add_parts(gradients, joined.biases, joined.columns, lambda: dy_TW.sum(0, dtype=dtype))
        if lora is not None:
            lora.differentiate(dy_TW, x.gradient if x.is_needed else None, gradients)
