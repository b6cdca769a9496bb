"""LoRA on flat tokens: the launches of lora_kernels.py, for one model or several.

Legend: T tokens, D columns of x, W columns of all layers, M models, S adapters, L slots of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from peftlab.models.cuda import lora_kernels as kernels
from peftlab.models.cuda.jit import ceil_power_of_2, keys_on, precision_of
from peftlab.models.fused.generator import threshold_of
from peftlab.models.fused.linear import Joined, LinearSettings
from peftlab.models.fused.operation import Gradients
from peftlab.models.fused.rows import Rows

TOKENS, GRADIENT_TOKENS = 16, 32
"""Tokens of a tile, and those that a program of the weights' gradients takes at a time."""
COLUMNS, GRADIENT_COLUMNS = 128, 64
"""Columns likewise."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The addresses of the adapters of a group of layers, on their device, for lora_kernels.py.

    Each of M models has `slots` of them, some of which may be empty.
    """

    integers_SF: Tensor
    scales_S2: Tensor
    slots: int
    num_gradients: int
    ranks: int
    most_columns: int
    drops: bool


_tables: WeakKeyDictionary[Joined, dict[int, tuple[Any, _Table]]] = WeakKeyDictionary()
"""The tables of each group of layers, by the number of models of which it is the first one's."""


def _table_of(models: Sequence[LinearSettings]) -> _Table:
    """Return the table of the adapters; it is made once, and again where parameters have moved."""
    known_by = tuple(
        (adapter.a.data_ptr(), adapter.b.data_ptr(), probability)
        for settings in models
        for adapter, (_, probability) in zip(
            settings.joined.adapters, settings.dropouts, strict=True
        )
    )
    tables = _tables.setdefault(models[0].joined, {})
    found = tables.get(len(models))
    if found is None or found[0] != known_by:
        found = tables[len(models)] = (known_by, _new_table(models))
    return found[1]


def _new_table(models: Sequence[LinearSettings]) -> _Table:
    adapters = [adapter for settings in models for adapter in settings.joined.adapters]
    origin, size = adapters[0].a.data_ptr(), adapters[0].a.element_size()
    slots = max(len(settings.joined.adapters) for settings in models)
    integers = np.zeros((len(models), slots, kernels.NUM_FIELDS), dtype=np.int64)
    scales = np.zeros((len(models), slots, 2), dtype=np.float32)
    num_gradients, drops = 0, False
    for model, settings in enumerate(models):
        of_model = zip(settings.joined.adapters, settings.dropouts, strict=True)
        for slot, (adapter, (_, probability)) in enumerate(of_model):
            columns = settings.joined.columns[adapter.index]
            num_a, num_b = adapter.a.numel(), adapter.b.numel()
            integers[model, slot] = [
                (adapter.a.data_ptr() - origin) // size,
                (adapter.b.data_ptr() - origin) // size,
                len(adapter.a),
                columns.start,
                columns.stop - columns.start,
                num_gradients,
                num_gradients + num_a,
                threshold_of(probability),
            ]
            scales[model, slot] = [adapter.scaling, 1 / (1 - probability)]
            num_gradients += num_a + num_b
            drops |= probability > 0
    device = adapters[0].a.device
    return _Table(
        integers_SF=torch.from_numpy(integers.reshape(-1, kernels.NUM_FIELDS)).to(device),
        scales_S2=torch.from_numpy(scales.reshape(-1, 2)).to(device),
        slots=slots,
        num_gradients=num_gradients,
        ranks=ceil_power_of_2(max(len(adapter.a) for adapter in adapters), least=16),
        most_columns=max(len(adapter.b) for adapter in adapters),
        drops=drops,
    )


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The adapters of a group of layers, launched on T rows x [T, D] and outputs y [T, W].

    The rows are those of one model or, with `bounds`, of several: of each behind the one before,
    none with more than `longest`.
    """

    models: Sequence[LinearSettings]
    rows: Rows
    bounds: Tensor | None
    longest: int
    table: _Table
    x_TD: Tensor
    low_LTr: Tensor
    key_S: Tensor

    @classmethod
    def of(
        cls,
        models: Sequence[LinearSettings],
        x_TD: Tensor,
        rows: Rows,
        *,
        bounds: Tensor | None = None,
        longest: int | None = None,
    ) -> Lora:
        """Return what follows from x; the low rows are not computed yet."""
        table = _table_of(models)
        every = [[key for key, _ in settings.dropouts] for settings in models]
        unused = next(own[0] for own in every if own)  # of the kind of all others
        keys = [key for own in every for key in own + [unused] * (table.slots - len(own))]
        return cls(
            models=models,
            rows=rows,
            bounds=bounds,
            longest=len(x_TD) if longest is None else longest,
            table=table,
            x_TD=x_TD,
            low_LTr=x_TD.new_empty(table.slots, len(x_TD), table.ranks),
            key_S=keys_on(x_TD.device, *keys),
        )

    def add_to(self, y_TW: Tensor) -> None:
        """Add what the adapters give."""
        shared, num_tiles, num_adapters = self._shared, self._num_tiles, self._num_adapters
        kernels.shrink_kernel[(num_tiles, num_adapters)](
            self.x_TD,
            *self._weights,
            *self._drawn,
            self.low_LTr,
            *self._num_rows,
            DEPTH=self.x_TD.shape[1],
            COLUMNS=_columns(self.x_TD.shape[1]),
            DROPS=self.table.drops,
            **shared,
        )
        columns = _columns(self.table.most_columns)
        kernels.expand_kernel[(num_tiles, num_adapters, -(-self.table.most_columns // columns))](
            y_TW,
            *self._weights,
            self.low_LTr,
            *self._num_rows,
            Y_ROW=y_TW.shape[1],
            COLUMNS=columns,
            **shared,
        )

    def differentiate(self, dy_TW: Tensor, dx_TD: Tensor | None, gradients: Gradients) -> None:
        """Add to the gradient of x, if that is given, and set those of A and B."""
        shared, num_tiles, num_adapters = self._shared, self._num_tiles, self._num_adapters
        depth = self.x_TD.shape[1]
        dlow_LTr = torch.empty_like(self.low_LTr)
        kernels.shrink_gradient_kernel[(num_tiles, num_adapters)](
            dy_TW,
            *self._weights,
            dlow_LTr,
            *self._num_rows,
            MOST=self.table.most_columns,
            Y_ROW=dy_TW.shape[1],
            COLUMNS=_columns(self.table.most_columns),
            **shared,
        )
        if dx_TD is not None:
            columns = _columns(depth)
            kernels.input_gradient_kernel[(num_tiles, -(-depth // columns), len(self.models))](
                dx_TD,
                *self._weights,
                *self._drawn,
                dlow_LTr,
                *self._num_rows,
                DEPTH=depth,
                COLUMNS=columns,
                DROPS=self.table.drops,
                **shared,
            )
        adapters = [one for settings in self.models for one in settings.joined.adapters]
        found = adapters[0].a.new_empty(self.table.num_gradients)
        most = max(depth, self.table.most_columns)
        columns = min(GRADIENT_COLUMNS, _columns(most))
        kernels.weights_kernel[(num_adapters, -(-most // columns))](
            self.x_TD,
            dy_TW,
            self.low_LTr,
            dlow_LTr,
            found,
            self.table.integers_SF,
            self.table.scales_S2,
            *self._drawn,
            *self._num_rows,
            DEPTH=depth,
            Y_ROW=dy_TW.shape[1],
            COLUMNS=columns,
            DROPS=self.table.drops,
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
        return -(-self.longest // TOKENS)

    @property
    def _num_adapters(self) -> int:
        return len(self.models) * self.table.slots

    @property
    def _num_rows(self) -> tuple[Tensor, int]:
        """The first row of each model, on the device, and the number of all rows."""
        bounds = self.table.integers_SF if self.bounds is None else self.bounds
        return bounds, len(self.x_TD)

    @property
    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        adapters = (one for settings in self.models for one in settings.joined.adapters)
        return next(adapters).a.detach(), self.table.integers_SF, self.table.scales_S2

    @property
    def _drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.key_S, self.rows.example_R, self.rows.position_R

    @property
    def _shared(self) -> dict[str, Any]:
        return {
            "RANKS": self.table.ranks,
            "BLOCK": TOKENS,
            "SLOTS": self.table.slots,
            "SEVERAL": self.bounds is not None,
            "PRECISION": precision_of(self.x_TD.dtype),
        }


def _columns(size: int) -> int:
    return min(COLUMNS, ceil_power_of_2(size, least=16))
