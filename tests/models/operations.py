"""The shared parts of the tests of kernels for any back end: inputs, and both computations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from peftlab.models.fused.attention import AttentionSettings, Heads, Spans
from peftlab.models.fused.operation import PlainOperation
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.tape import apply


def rows_of(lengths: tuple[int, ...], *, first_example: int = 0) -> Rows:
    return Rows(
        example_R=torch.tensor([b for b, n in enumerate(lengths) for _ in range(n)])
        + first_example,
        position_R=torch.tensor([i for n in lengths for i in range(n)]),
    )


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).requires_grad_()


def with_gradients(compute: Callable[[], Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Return the output and the gradients of a weighted sum of it."""
    out = compute()
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), inputs)]


def both_ways(
    operation: type[PlainOperation],
    settings: object,
    inputs: list[Tensor],
    parameters: list[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Return output and gradients by the kernels, and by the plain twin."""
    sources = [*inputs, *parameters]
    fast = with_gradients(lambda: apply(operation, settings, *inputs), sources)
    return fast, with_gradients(lambda: operation.plain(settings, *inputs), sources)


def attention_case(
    form: str, num_heads: int, width: int, lengths: tuple[int, ...], *, key: int, probability: float
) -> tuple[AttentionSettings, list[Tensor]]:
    """Return attention of rows of these lengths, from joined, pooled or separate projections."""
    total, size = sum(lengths), num_heads * width
    keys = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    queries = np.arange(len(lengths) + 1, dtype=np.int64) if form == "pooled" else keys
    spans = Spans(
        query_offsets=torch.from_numpy(queries),
        key_offsets=torch.from_numpy(keys),
        first_example=3,
    )
    settings = AttentionSettings(
        heads=Heads(count=num_heads, scale=width**-0.5),
        spans=spans,
        key=key,
        probability=probability,
    )
    projections = {
        "joined": [random(total, 3 * size)],
        "pooled": [random(len(lengths), size), random(total, 2 * size, seed=1)],
        "apart": [random(total, size, seed=seed) for seed in range(3)],
    }[form]
    return settings, projections
