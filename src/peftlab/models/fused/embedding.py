"""The rest of an encoder's embedding: the vectors of positions and token types are added to those
of the words, and the sum is normalised and dropped out. The words themselves are looked up by their
own module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from peftlab.models.fused.dropout import Dropout, DropoutSettings, active_probability
from peftlab.models.fused.jit import kernel, prange
from peftlab.models.fused.launch import EntryPoint, Floats, Integers, integers, launch, matrix
from peftlab.models.fused.linear import Keys, SiteOf, is_hooked
from peftlab.models.fused.math32 import ZERO
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings, is_plain_norm
from peftlab.models.fused.operation import Call, Gradients, Node, Operation, Program
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.sums import STRIPE


@kernel
def look_up_kernel(
    table_VD: Floats, ids_R: Integers, first: int, adds: bool, out_RD: Floats
) -> None:
    """Set out to the rows of the table at ids + first, or add these rows to it."""
    for r in prange(len(ids_R)):
        if adds:
            out_RD[r] += table_VD[ids_R[r] + first]
        else:
            out_RD[r] = table_VD[ids_R[r] + first]


@kernel
def scatter_kernel(x_RD: Floats, ids_R: Integers, first: int, out_VD: Floats) -> None:
    """Set out[v] to the sum of the rows of x whose id + first is v."""
    num_rows, width = x_RD.shape
    for stripe in prange((width + STRIPE - 1) // STRIPE):
        start, end = stripe * STRIPE, min(width, (stripe + 1) * STRIPE)
        for v in range(len(out_VD)):
            out_VD[v, start:end] = ZERO
        for r in range(num_rows):
            out_VD[ids_R[r] + first, start:end] += x_RD[r, start:end]


class _LookedUp(NamedTuple):
    table: Tensor
    ids: Tensor
    out: Tensor
    num_ids: int
    rows: int
    width: int
    first: int
    adds: bool


class _Scattered(NamedTuple):
    x: Tensor
    ids: Tensor
    out: Tensor
    num_ids: int
    rows: int
    width: int
    first: int


@EntryPoint
def _look_up(n: _LookedUp) -> None:
    table, ids = matrix(n.table, n.num_ids, n.width), integers(n.ids, n.rows)
    look_up_kernel(table, ids, n.first, n.adds != 0, matrix(n.out, n.rows, n.width))


@EntryPoint
def _scatter(n: _Scattered) -> None:
    x, ids = matrix(n.x, n.rows, n.width), integers(n.ids, n.rows)
    scatter_kernel(x, ids, n.first, matrix(n.out, n.num_ids, n.width))


@dataclass(frozen=True, kw_only=True)
class LookUpTable:
    """A table [V, D] in which row r is looked up at ids[r] + first, with ids int64 [R]."""

    weight: Tensor
    ids_R: Tensor
    first: int = 0


class LookUp(Operation):
    """The operation, without inputs, that returns the sum of rows looked up in tables, [R, D]."""

    @staticmethod
    def parameters(settings: tuple[LookUpTable, ...]) -> tuple[nn.Parameter, ...]:
        """Return the tables."""
        return tuple(cast(nn.Parameter, table.weight) for table in settings)

    @staticmethod
    def forward(settings: tuple[LookUpTable, ...], *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the sum; nothing is kept."""
        num_rows, width = settings[0].ids_R.shape[0], settings[0].weight.shape[1]
        out_RD = settings[0].ids_R.new_empty(num_rows, width, dtype=torch.float32)
        for number, table in enumerate(settings):
            launch(
                _look_up,
                _LookedUp(
                    table=table.weight,
                    ids=table.ids_R,
                    out=out_RD,
                    num_ids=len(table.weight),
                    rows=num_rows,
                    width=width,
                    first=table.first,
                    adds=number > 0,
                ),
            )
        return out_RD, None

    @staticmethod
    def backward(
        settings: tuple[LookUpTable, ...],
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add each row's gradient to the row of the table that it came from."""
        for table in settings:
            if table.weight.requires_grad:
                found_VD = gradient.new_empty(table.weight.shape)
                (rows, width), num_ids = gradient.shape, len(found_VD)
                launch(
                    _scatter,
                    _Scattered(gradient, table.ids_R, found_VD, num_ids, rows, width, table.first),
                )
                gradients[cast(nn.Parameter, table.weight)] = found_VD

    @staticmethod
    def plain(settings: tuple[LookUpTable, ...], *inputs: Tensor) -> Tensor:
        """Return the rows by indexing."""
        parts = [table.weight[table.ids_R + table.first] for table in settings]
        return torch.stack(parts).sum(0)


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The embedding after the words are looked up: norm(words + positions + types), dropped out.

    The first token of an example has the position `first_position`.
    """

    positions: nn.Embedding
    first_position: int
    types: nn.Embedding | None
    norm: nn.LayerNorm
    dropout: nn.Dropout
    site: str

    def program(self, words_RD: Any, rows: Rows, type_R: Tensor, keys: Keys) -> Program[Any]:
        """Compute the first block's input."""
        tables = [
            LookUpTable(
                weight=self.positions.weight, ids_R=rows.position_R, first=self.first_position
            )
        ]
        if self.types is not None:
            tables.append(LookUpTable(weight=self.types.weight, ids_R=type_R))
        added_RD = yield Call(LookUp, tuple(tables), ())
        settings = NormSettings(norm=self.norm, rows=rows, key=0, probability=0.0)
        x_RD = yield Call(DropoutAddNorm, settings, (added_RD, words_RD))
        if self.probability == 0:
            return x_RD
        key = keys(self.site)
        dropout = DropoutSettings(rows=rows, key=key, probability=self.probability)
        return (yield Call(Dropout, dropout, (x_RD,)))

    @property
    def probability(self) -> float:
        """The current dropout probability."""
        return active_probability(self.dropout)

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that its operations read."""
        tables = [self.positions] if self.types is None else [self.positions, self.types]
        weights = [cast(nn.Parameter, table.weight) for table in tables]
        return (*weights, self.norm.weight, self.norm.bias)


def embedding_of(module: nn.Module, first_position: int, site_of: SiteOf) -> Embedding | None:
    """Return the embedding of a transformers module, or None for a module of another kind."""
    inner: Any = module
    positions = getattr(inner, "position_embeddings", None)
    types = getattr(inner, "token_type_embeddings", None)
    if positions is None:
        return None
    tables = [positions] if types is None else [positions, types]
    if not all(_is_plain(table) for table in tables) or not is_plain_norm(inner.LayerNorm):
        return None
    if any(is_hooked(child) for child in (inner, inner.LayerNorm, inner.dropout, *tables)):
        return None
    return Embedding(
        positions=positions,
        first_position=first_position,
        types=types,
        norm=inner.LayerNorm,
        dropout=inner.dropout,
        site=site_of(inner.dropout),
    )


def _is_plain(table: nn.Module) -> bool:
    return (
        type(table) is nn.Embedding
        and table.max_norm is None
        and not table.sparse
        and not table.scale_grad_by_freq
    )
