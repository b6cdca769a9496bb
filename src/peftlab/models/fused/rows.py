"""The rows of a batch: their examples and positions, and the selection of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from peftlab.models.fused.jit import kernel, prange
from peftlab.models.fused.launch import EntryPoint, Floats, Integers, integers, launch, matrix
from peftlab.models.fused.math32 import ZERO
from peftlab.models.fused.operation import Gradients, Node, Operation


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Examples and positions of R rows, int64 [R]; `example_R` counts within a step's batch."""

    example_R: Tensor
    position_R: Tensor

    def __len__(self) -> int:
        return len(self.example_R)


@kernel
def take_kernel(x_TD: Floats, places_B: Integers, out_BD: Floats) -> None:
    """Set out to the rows of x at these places."""
    for b in prange(len(places_B)):
        out_BD[b] = x_TD[places_B[b]]


@kernel
def add_kernel(x_BD: Floats, places_B: Integers, is_first: bool, out_TD: Floats) -> None:
    """Add x to the rows of out at these places, each at most once; if `is_first`, out is 0."""
    if is_first:
        for t in prange(len(out_TD)):
            out_TD[t] = ZERO
    for b in prange(len(places_B)):
        out_TD[places_B[b]] += x_BD[b]


class _Taken(NamedTuple):
    x: Tensor
    places: Tensor
    out: Tensor
    tokens: int
    rows: int
    width: int


class _Added(NamedTuple):
    x: Tensor
    places: Tensor
    out: Tensor
    tokens: int
    rows: int
    width: int
    is_first: bool


@EntryPoint
def _take(n: _Taken) -> None:
    places = integers(n.places, n.rows)
    take_kernel(matrix(n.x, n.tokens, n.width), places, matrix(n.out, n.rows, n.width))


@EntryPoint
def _add(n: _Added) -> None:
    x, places = matrix(n.x, n.rows, n.width), integers(n.places, n.rows)
    add_kernel(x, places, n.is_first != 0, matrix(n.out, n.tokens, n.width))


class TakeRows(Operation):
    """The operation that selects the rows of x [T, D] at places int64 [B], each at most once."""

    @staticmethod
    def parameters(settings: Tensor) -> tuple[nn.Parameter, ...]:
        """Return no parameters."""
        return ()

    @staticmethod
    def forward(settings: Tensor, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return a copy of the rows."""
        (x_TD,) = inputs
        out_BD = x_TD.new_empty(settings.shape[0], x_TD.shape[1])
        launch(_take, _Taken(x_TD, settings, out_BD, x_TD.shape[0], *out_BD.shape))
        return out_BD, None

    @staticmethod
    def backward(
        settings: Tensor,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradient to the rows that were taken."""
        (x,) = inputs
        is_first = x.gradient is None
        if x.gradient is None:
            x.gradient = torch.empty_like(x.tensor)
        (rows, width), tokens = gradient.shape, x.gradient.shape[0]
        launch(_add, _Added(gradient, settings, x.gradient, tokens, rows, width, is_first))

    @staticmethod
    def plain(settings: Tensor, *inputs: Tensor) -> Tensor:
        """Return the rows by indexing."""
        return inputs[0][settings]
