"""Small inputs on which each Triton kernel is compared with its plain twin, on the card itself.

The sizes are those of layers that are often trained, since kernels are compiled for the widths, and
for the length of the longest row: what is compared is then what a training runs.

Legend: T tokens, D columns, F columns of the inner layer, V rows of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from peftlab.models.attention import AttentionScores
from peftlab.models.fused.attention import Attention, AttentionSettings, Heads, Spans
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.embedding import LookUp, LookUpTable
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.linear import Adapter, Joined, JoinedLinear, LinearSettings
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.operation import PlainOperation
from peftlab.models.fused.rows import Rows, TakeRows
from peftlab.models.fused.shared import Several, SharedOperation
from peftlab.models.masked_attention import MaskedAttention, MaskedAttentionSettings

KEY = 2**63 + 12345
PROBABILITY = 0.1
LONG, SHORT = (60, 1, 17), (12, 5, 9)
"""Lengths of rows, of which attention takes several blocks or one."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The widths of a layer, and the lengths of the rows that it is run on."""

    num_heads: int
    head_width: int
    inner: int
    rank: int
    lengths: tuple[int, ...]

    @property
    def width(self) -> int:
        """Return the columns of all heads."""
        return self.num_heads * self.head_width

    @property
    def num_key_heads(self) -> int:
        """Return how many heads of keys there are where several of the queries' share one."""
        return self.num_heads // 2 if self.num_heads % 2 == 0 else 1

    @classmethod
    def of(cls, config: Any) -> tuple[Sizes, ...]:
        """Return the sizes of a model's layers, for long rows and for short ones; () if unknown."""
        try:
            num_heads, width = int(config.num_attention_heads), int(config.hidden_size)
            inner = int(getattr(config, "intermediate_size", None) or 4 * width)
            head_width = int(getattr(config, "head_dim", None) or width // num_heads)
        except (AttributeError, TypeError, ValueError):
            return ()
        return tuple(
            cls(num_heads=num_heads, head_width=head_width, inner=inner, rank=8, lengths=lengths)
            for lengths in (LONG, SHORT)
        )


BERT_BASE = Sizes(num_heads=12, head_width=64, inner=3072, rank=8, lengths=LONG)
MINILM = Sizes(num_heads=12, head_width=32, inner=1536, rank=8, lengths=SHORT)
USUAL = (BERT_BASE, MINILM)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An operation with its settings and inputs, float32; gradients of all of it are compared."""

    operation: type[PlainOperation]
    settings: Any
    inputs: tuple[Tensor, ...] = ()
    parameters: tuple[nn.Parameter, ...] = ()


class _Drawer:
    """Draws what operations are given, the same on every machine, and puts it on a device."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        self.sizes, self.device = sizes, device
        self._generator = torch.Generator().manual_seed(0)
        length_B = torch.tensor(sizes.lengths)
        self.offsets = torch.cat([torch.zeros(1, dtype=torch.int64), length_B.cumsum(0)])
        self.num_tokens = int(self.offsets[-1])
        example_T = torch.arange(len(length_B)).repeat_interleave(length_B)
        position_T = torch.arange(self.num_tokens) - self.offsets[example_T]
        self.rows = Rows(example_R=(example_T + 3).to(device), position_R=position_T.to(device))

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Return a tensor of normal numbers."""
        return (torch.randn(*shape, generator=self._generator) * scale).to(self.device)

    def weight(self, *shape: int) -> nn.Parameter:
        """Return a parameter of which products with normal rows have numbers of about 1."""
        return nn.Parameter(self.normal(*shape, scale=shape[-1] ** -0.5))

    def attention(self, queries: Tensor | None = None) -> AttentionSettings:
        """Return the settings of attention of each example to itself, or of these queries to it."""
        return AttentionSettings(
            heads=Heads(count=self.sizes.num_heads, scale=self.sizes.head_width**-0.5),
            spans=Spans(
                query_offsets=self.offsets if queries is None else queries,
                key_offsets=self.offsets,
                first_example=3,
            ),
            key=KEY,
            probability=PROBABILITY,
        )


def _attention(draw: _Drawer) -> Iterator[Case]:
    width, num_examples = draw.sizes.width, len(draw.sizes.lengths)
    yield Case(
        operation=Attention,
        settings=draw.attention(),
        inputs=(draw.normal(draw.num_tokens, 3 * width),),
    )
    yield Case(
        operation=Attention,
        settings=draw.attention(torch.arange(num_examples + 1)),
        inputs=(draw.normal(num_examples, width), draw.normal(draw.num_tokens, 2 * width)),
    )


def _masked_attention(draw: _Drawer) -> Iterator[Case]:
    """Yield one case: causal, with a window, each head of keys shared by several of queries."""
    sizes = draw.sizes
    scores = AttentionScores(scale=sizes.head_width**-0.5, is_causal=True, window=9, softcap=None)
    num_key_heads = sizes.num_key_heads
    widths = (sizes.width, num_key_heads * sizes.head_width, num_key_heads * sizes.head_width)
    yield Case(
        operation=MaskedAttention,
        settings=MaskedAttentionSettings(
            attention=draw.attention(), scores=scores, num_key_heads=num_key_heads
        ),
        inputs=tuple(draw.normal(draw.num_tokens, width) for width in widths),
    )


def _joined_linear(draw: _Drawer) -> Iterator[Case]:
    """Yield one case: three layers, the first and the last with adapters of two ranks."""
    width = draw.sizes.width
    layers = tuple(nn.Linear(width, width, device=draw.device) for _ in range(3))
    for layer in layers:
        layer.weight, layer.bias = draw.weight(width, width), draw.weight(width)
    adapters = tuple(
        Adapter(
            index=index,
            a=draw.weight(rank, width),
            b=draw.weight(width, rank),
            scaling=scaling,
            dropout=nn.Dropout(PROBABILITY),
            site=str(index),
        )
        for index, rank, scaling in ((0, draw.sizes.rank, 2.0), (2, draw.sizes.rank // 2, 0.5))
    )
    joined = Joined(layers=layers, adapters=adapters)
    yield Case(
        operation=JoinedLinear,
        settings=LinearSettings.of(joined, draw.rows, {"0": KEY, "2": 77}.__getitem__),
        inputs=(draw.normal(draw.num_tokens, width),),
        parameters=joined.parameters,
    )


def _dropout(draw: _Drawer) -> Iterator[Case]:
    yield Case(
        operation=Dropout,
        settings=DropoutSettings(rows=draw.rows, key=KEY, probability=PROBABILITY),
        inputs=(draw.normal(draw.num_tokens, draw.sizes.width),),
    )


def _norm(draw: _Drawer) -> Iterator[Case]:
    width = draw.sizes.width
    norm = nn.LayerNorm(width, eps=1e-6, device=draw.device)
    norm.weight, norm.bias = draw.weight(width), draw.weight(width)
    yield Case(
        operation=DropoutAddNorm,
        settings=NormSettings(norm=norm, rows=draw.rows, key=KEY, probability=PROBABILITY),
        inputs=tuple(draw.normal(draw.num_tokens, width) for _ in range(2)),
        parameters=(norm.weight, norm.bias),
    )


def _gelu(draw: _Drawer) -> Iterator[Case]:
    inner = draw.normal(draw.num_tokens, draw.sizes.inner, scale=2.0)
    yield Case(operation=Gelu, settings=GeluSettings(has_backward=True), inputs=(inner,))


def _look_up(draw: _Drawer) -> Iterator[Case]:
    """Yield one case: positions from the second row of a table on, and types."""
    position_T, width = draw.rows.position_R, draw.sizes.width
    weights = draw.weight(max(draw.sizes.lengths) + 2, width), draw.weight(2, width)
    yield Case(
        operation=LookUp,
        settings=(
            LookUpTable(weight=weights[0], ids_R=position_T, first=2),
            LookUpTable(weight=weights[1], ids_R=position_T % 2),
        ),
        parameters=weights,
    )


def _take_rows(draw: _Drawer) -> Iterator[Case]:
    yield Case(
        operation=TakeRows,
        settings=draw.offsets[:-1].to(draw.device),
        inputs=(draw.normal(draw.num_tokens, draw.sizes.width),),
    )


_CASES: dict[type[PlainOperation], Callable[[_Drawer], Iterator[Case]]] = {
    Attention: _attention,
    Dropout: _dropout,
    DropoutAddNorm: _norm,
    Gelu: _gelu,
    JoinedLinear: _joined_linear,
    LookUp: _look_up,
    MaskedAttention: _masked_attention,
    TakeRows: _take_rows,
}


def _several(operation: type[SharedOperation], draw: _Drawer) -> Iterator[Case]:
    """Yield what the operation of one model is compared on, for two models with other numbers."""
    for first in _CASES[operation.one](draw):
        second = _other(first)
        sizes = tuple(map(len, first.inputs))
        yield Case(
            operation=operation,
            settings=Several(settings=(first.settings, second.settings), sizes=(sizes, sizes)),
            inputs=tuple(map(torch.cat, zip(first.inputs, second.inputs, strict=True))),
            parameters=tuple(p for p in (*first.parameters, *second.parameters) if p.requires_grad),
        )


def _other(first: Case) -> Case:
    """Return the case for a second model: with inputs, parameters and keys of its own.

    Weights and tables that several models have in common are frozen, and stay the same.
    """
    inputs = tuple(x.flip(0) for x in first.inputs)
    settings: Any = first.settings
    if isinstance(settings, LinearSettings):
        for weight in settings.joined.weights:
            weight.requires_grad_(False)
        joined = deepcopy(settings.joined)
        for layer, own in zip(settings.joined.layers, joined.layers, strict=True):
            own.weight = layer.weight
        dropouts = tuple((key + 1, probability) for key, probability in settings.dropouts)
        settings = replace(settings, joined=joined, dropouts=dropouts)
        return replace(first, settings=settings, inputs=inputs, parameters=joined.parameters)
    if isinstance(settings, NormSettings):
        norm = deepcopy(settings.norm)
        settings = replace(settings, norm=norm, key=settings.key + 1)
        parameters = (norm.weight, norm.bias)
        return replace(first, settings=settings, inputs=inputs, parameters=parameters)
    if isinstance(settings, AttentionSettings | DropoutSettings):
        settings = replace(settings, key=settings.key + 1)
    elif isinstance(settings, tuple):
        for table in settings:
            table.weight.requires_grad_(False)
    return replace(first, settings=settings, inputs=inputs)


def cases_of(operation: type[PlainOperation], sizes: Sizes, device: torch.device) -> Iterator[Case]:
    """Yield what an operation is compared on. Raises KeyError for one that nothing is known of."""
    drawer = _Drawer(sizes, device)
    if issubclass(operation, SharedOperation):
        return _several(operation, drawer)
    return _CASES[operation](drawer)
