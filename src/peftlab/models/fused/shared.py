"""Operations of several models at once, on their rows one behind the other.

A shared operation computes what `one` computes for each model by itself: with each model's own
settings, on its own rows. The plain twins here do just that. Only a back end that has kernels for a
shared operation uses it; the product with frozen weights is shared by all (shared_linear.py).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from peftlab.models.fused.attention import Attention, AttentionSettings
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.embedding import LookUp, LookUpTable
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.operation import PlainOperation
from peftlab.models.fused.rows import TakeRows


@dataclass(frozen=True, kw_only=True)
class Several:
    """The settings of each model, and its number of rows in each input: sizes[model][input].

    `found` is for kernels to keep what they find of how the rows lie: it lasts as long as the
    programs of the models that are carried out, and all their operations have the same one.
    """

    settings: tuple[Any, ...]
    sizes: tuple[tuple[int, ...], ...]
    found: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> list[list[slice]]:
        """The slice of each model's rows in each input: rows[input][model]."""
        return [slices(sizes) for sizes in zip(*self.sizes, strict=True)]


def slices(sizes: Sequence[int]) -> list[slice]:
    """Return where parts of these sizes stand, one behind the other.

    >>> slices([2, 3])
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [slice(start, end) for start, end in pairwise(accumulate(sizes, initial=0))]


class SharedOperation(PlainOperation):
    """The operation `one` for several models; its settings are `Several`."""

    one: ClassVar[type[PlainOperation]]

    @staticmethod
    @abstractmethod
    def alike(settings: Any) -> Hashable | None:
        """Return a value that settings have in common which can be computed at once.

        None for settings that cannot be shared.
        """

    @staticmethod
    def num_outputs(settings: Any, sizes: Sequence[int]) -> int:
        """Return how many rows a model's output has, by its settings and the sizes of its inputs.

        As a rule as many as its first input has.
        """
        return sizes[0]

    @classmethod
    def parameters(cls, settings: Several) -> tuple[nn.Parameter, ...]:
        """Return the parameters of all models."""
        return tuple(chain.from_iterable(map(cls.one.parameters, settings.settings)))

    @classmethod
    def plain(cls, settings: Several, *inputs: Tensor) -> Tensor:
        """Return the outputs of all models, one behind the other."""
        outputs = []
        for number, one in enumerate(settings.settings):
            own = [x[rows[number]] for x, rows in zip(inputs, settings.rows, strict=True)]
            outputs.append(cls.one.plain(one, *own))
        return torch.cat(outputs)


class SharedNorm(SharedOperation):
    """`DropoutAddNorm` of several models."""

    one = DropoutAddNorm

    @staticmethod
    def alike(settings: NormSettings) -> Hashable | None:
        """Return the width, epsilon and probability."""
        return settings.norm.normalized_shape, settings.norm.eps, settings.probability


class SharedDropout(SharedOperation):
    """`Dropout` of several models."""

    one = Dropout

    @staticmethod
    def alike(settings: DropoutSettings) -> Hashable | None:
        """Return the probability."""
        return settings.probability


class SharedAttention(SharedOperation):
    """`Attention` of several models."""

    one = Attention

    @staticmethod
    def alike(settings: AttentionSettings) -> Hashable | None:
        """Return the heads and the probability."""
        return settings.heads, settings.probability


class SharedGelu(SharedOperation):
    """`Gelu` of several models."""

    one = Gelu

    @staticmethod
    def alike(settings: GeluSettings) -> Hashable | None:
        """Return whether there is a backward pass."""
        return settings.has_backward


class SharedTakeRows(SharedOperation):
    """`TakeRows` of several models."""

    one = TakeRows

    @staticmethod
    def alike(settings: Tensor) -> Hashable | None:
        """Return a constant: all can be shared."""
        return True

    @staticmethod
    def num_outputs(settings: Tensor, sizes: Sequence[int]) -> int:
        """Return how many rows are taken."""
        return len(settings)


class SharedLookUp(SharedOperation):
    """`LookUp` of several models in the same frozen tables; it has no inputs but these."""

    one = LookUp

    @staticmethod
    def alike(settings: tuple[LookUpTable, ...]) -> Hashable | None:
        """Return where the tables lie, and from which row on they are read."""
        if any(table.weight.requires_grad for table in settings):
            return None
        return tuple((table.weight.data_ptr(), table.first) for table in settings)

    @staticmethod
    def num_outputs(settings: tuple[LookUpTable, ...], sizes: Sequence[int]) -> int:
        """Return how many rows are looked up."""
        return len(settings[0].ids_R)
