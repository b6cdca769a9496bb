"""Operations of several models at once, by Triton kernels: one launch for all of them.

Legend: M models, R rows of all of them, D columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
import triton.language as tl
from torch import Tensor, nn

from peftlab.models.cuda.attention import add_gradients, attend
from peftlab.models.cuda.dropout import dropout
from peftlab.models.cuda.embedding import LookUpKernels
from peftlab.models.cuda.jit import Pointer, ceil_power_of_2, kernel, keys_on
from peftlab.models.cuda.linear import operand_of
from peftlab.models.cuda.lora import Lora
from peftlab.models.cuda.lying import Lying, joined_spans, lying
from peftlab.models.cuda.norm import COLUMNS, ROWS, Norm, weight_gradients
from peftlab.models.cuda.rows import TakeRowsKernels
from peftlab.models.fused.attention import split_projections, width_of
from peftlab.models.fused.linear import Joined, stacked
from peftlab.models.fused.operation import Gradients, Node
from peftlab.models.fused.shared import Several

MOST_COLUMNS = 1024


@kernel
def bias_kernel(
    y: Pointer,
    biases: Pointer,
    places: Pointer,
    models: Pointer,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Each row of y += its model's bias. A program takes BLOCK columns of a row."""
    r, c = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    bias = biases + tl.load(places + tl.load(models + r))
    b = tl.load(bias + c, mask=c < WIDTH, other=0.0).to(tl.float32)
    at = y + r * WIDTH + c
    tl.store(at, tl.load(at, mask=c < WIDTH, other=0.0).to(tl.float32) + b, mask=c < WIDTH)


@kernel
def bias_gradient_kernel(
    dy: Pointer,
    dbias: Pointer,
    bounds: Pointer,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Fill the gradient of a model's bias: a program sums COLUMNS of it over its rows."""
    c, model = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS), tl.program_id(1)
    begin, end = tl.load(bounds + model).to(tl.int32), tl.load(bounds + model + 1).to(tl.int32)
    total = tl.zeros([COLUMNS], tl.float32)
    for first in range(begin, end, ROWS):
        r = first + tl.arange(0, ROWS)
        at = r.to(tl.int64)[:, None] * WIDTH + c[None, :]
        is_real = (r < end)[:, None] & (c < WIDTH)[None, :]
        total += tl.sum(tl.load(dy + at, mask=is_real, other=0.0).to(tl.float32), 0)
    tl.store(dbias + model * WIDTH + c, total, mask=c < WIDTH)


_places: WeakKeyDictionary[nn.Module | Joined, tuple[Any, Tensor]] = WeakKeyDictionary()


def _places_of(first: nn.Module | Joined, tensors: list[list[Tensor]]) -> Tensor:
    """Return how many elements behind the first model's tensors each model's lie, int64 [M, N].

    They are kept, by the first model's module, until something moves.
    """
    known_by = tuple(one.data_ptr() for of_model in tensors for one in of_model)
    known = _places.get(first)
    if known is None or known[0] != known_by:
        origins, size = tensors[0], tensors[0][0].element_size()
        starts = [origin.data_ptr() for origin in origins]
        places = [
            [(one.data_ptr() - start) // size for one, start in zip(of_model, starts, strict=True)]
            for of_model in tensors
        ]
        on_card = torch.tensor(places, dtype=torch.int64, device=origins[0].device)
        known = _places[first] = (known_by, on_card)
    return known[1]


class SharedNormKernels:
    """The kernels of `SharedNorm`."""

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return y. Normalised rows and 1 / standard deviation are kept."""
        models = settings.settings
        first, where = models[0].norm, lying(settings, [one.rows for one in models])
        parameters = [[one.norm.weight.detach(), one.norm.bias.detach()] for one in models]
        norm = Norm(
            weight=first.weight,
            bias=first.bias,
            epsilon=first.eps,
            rows=where.rows,
            key=keys_on(inputs[0].device, *(one.key for one in models)),
            probability=models[0].probability,
            model_R=where.model_R,
            places_M2=_places_of(first, parameters),
        )
        y_RD, normal_RD, inverse_R = norm.forward(*inputs)
        return y_RD, (norm, where, normal_RD, inverse_R)

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of both inputs, and of weights and biases."""
        norm, where, normal_RD, inverse_R = kept
        norm.backward(gradient, normal_RD, inverse_R, inputs)
        norms = [one.norm for one in settings.settings]
        if any(one.weight.requires_grad or one.bias.requires_grad for one in norms):
            like = norms[0].weight.detach()
            dweight_MD, dbias_MD = weight_gradients(gradient, normal_RD, like, where.bounds)
            for one, dweight_D, dbias_D in zip(norms, dweight_MD, dbias_MD, strict=True):
                if one.weight.requires_grad:
                    gradients[one.weight] = dweight_D
                if one.bias.requires_grad:
                    gradients[one.bias] = dbias_D


class SharedDropoutKernels:
    """The kernels of `SharedDropout`."""

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return x after dropout. Nothing is kept: the backward pass draws the same mask."""
        return _dropped(settings, inputs[0]), None

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradient of x."""
        inputs[0].add(_dropped(settings, gradient))


def _dropped(settings: Several, x_RC: Tensor) -> Tensor:
    models = settings.settings
    where = lying(settings, [one.rows for one in models])
    key_M = keys_on(x_RC.device, *(one.key for one in models))
    return dropout(x_RC, where.rows, models[0].probability, key_M, where.model_R)


class SharedAttentionKernels:
    """The kernels of `SharedAttention`."""

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the context."""
        models, device = settings.settings, inputs[0].device
        spans, model_B = joined_spans(settings, device)
        return attend(
            replace(models[0], spans=spans),
            *split_projections(inputs, width_of(inputs)),
            key_M=keys_on(device, *(one.key for one in models)),
            model_B=model_B,
        )

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of queries, keys and values."""
        add_gradients(kept, gradient, inputs)


class SharedTakeRowsKernels:
    """The kernels of `SharedTakeRows`: each model's places are counted from its own first row."""

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return a copy of the rows; their places among all are kept."""
        (ranges,) = settings.rows
        places = [
            places_B + rows.start for places_B, rows in zip(settings.settings, ranges, strict=True)
        ]
        places_B = torch.cat(places)
        return TakeRowsKernels.forward(places_B, *inputs)[0], places_B

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add to the gradients of the rows that were taken."""
        TakeRowsKernels.backward(kept, None, gradient, inputs, gradients)


class SharedLookUpKernels:
    """The kernels of `SharedLookUp`: the tables are frozen, and the same for all models."""

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the sum. Nothing is kept."""
        tables = tuple(
            replace(of_models[0], ids_R=torch.cat([table.ids_R for table in of_models]))
            for of_models in zip(*settings.settings, strict=True)
        )
        return LookUpKernels.forward(tables)

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add nothing: no table trains."""


class SharedLinearKernels:
    """The kernels of `SharedLinear`."""

    @staticmethod
    def forward(settings: Several, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the products; what adapters read is kept."""
        (x_RD,), models = inputs, settings.settings
        joined, where = models[0].joined, lying(settings, [one.rows for one in models])
        weight_WD = operand_of(joined, joined.weights, x_RD.dtype)
        biases = [one.joined.biases for one in models]
        if not biases[0]:
            y_RW = torch.mm(x_RD, weight_WD.T)
        elif _are_one(biases):
            bias_W = operand_of(joined, joined.biases, x_RD.dtype)
            y_RW = torch.addmm(bias_W, x_RD, weight_WD.T)
        else:
            y_RW = torch.mm(x_RD, weight_WD.T)
            _add_biases(y_RW, joined, biases, where)
        lora = None
        if any(one.joined.adapters for one in models):
            lora = Lora.of(models, x_RD, where.rows, bounds=where.bounds, longest=where.longest)
            lora.add_to(y_RW)
        return y_RW, (where, lora)

    @staticmethod
    def backward(
        settings: Several,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of x, and of biases and adapters that are trained."""
        (x,), models, dy_RW = inputs, settings.settings, gradient
        where, lora = kept
        joined = models[0].joined
        if x.is_needed:
            x.add(torch.mm(dy_RW, operand_of(joined, joined.weights, dy_RW.dtype)))
        biases = [one.joined.biases for one in models]
        if any(bias.requires_grad for of_model in biases for bias in of_model):
            width, dtype = dy_RW.shape[1], biases[0][0].dtype
            found = torch.empty(len(models), width, dtype=dtype, device=dy_RW.device)
            grid = (-(-width // COLUMNS), len(models))
            bias_gradient_kernel[grid](dy_RW, found, where.bounds, width, ROWS, COLUMNS)
            for one, found_W in zip(models, found, strict=True):
                for bias, columns in zip(one.joined.biases, one.joined.columns, strict=True):
                    if bias.requires_grad:
                        gradients[bias] = found_W[columns]
        if lora is not None:
            lora.differentiate(dy_RW, x.gradient if x.is_needed else None, gradients)


def _are_one(biases: list[tuple[nn.Parameter, ...]]) -> bool:
    """Return whether the biases of all models lie at the same places."""
    return len({tuple(bias.data_ptr() for bias in of_model) for of_model in biases}) == 1


def _add_biases(
    y_RW: Tensor, joined: Joined, biases: list[tuple[nn.Parameter, ...]], where: Lying
) -> None:
    """Add each model's biases, which lie side by side, to its rows."""
    side_by_side = [[stacked(of_model)] for of_model in biases]
    width = y_RW.shape[1]
    block = min(MOST_COLUMNS, ceil_power_of_2(width))
    bias_kernel[(len(y_RW), -(-width // block))](
        y_RW,
        side_by_side[0][0],
        _places_of(joined, side_by_side),
        where.model_R,
        WIDTH=width,
        BLOCK=block,
    )
