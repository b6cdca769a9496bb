"""Attention within each example by Triton kernels: the launches.

Legend: T tokens, Q queries, H heads of the queries, D columns of the queries, E of the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from peftlab.models.cuda import attention_kernels as kernels
from peftlab.models.cuda.jit import (
    ceil_power_of_2,
    dropped_below,
    keys_on,
    multiplies_exactly,
    precision_of,
)
from peftlab.models.fused.attention import AttentionSettings, split_projections, width_of
from peftlab.models.fused.operation import Gradients, Node
from peftlab.models.masked_attention import MaskedAttentionSettings

NUM_WARPS = 4


def block_of(longest: int, dtype: torch.dtype) -> int:
    """Return how many queries and keys a program takes at a time, for rows of so many tokens.

    Exact products of float32 run on no matrix unit, and larger blocks of them spill registers.
    """
    most = 16 if multiplies_exactly(dtype) else 64
    return min(most, ceil_power_of_2(longest, least=16))


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The launch parameters that the forward and the backward pass share."""

    tensors: tuple[Tensor, ...]
    rows: tuple[int, int, int]
    constants: dict[str, Any]
    num_examples: int


def attend(
    settings: AttentionSettings,
    q_QD: Tensor,
    k_TE: Tensor,
    v_TE: Tensor,
    *,
    is_causal: bool = False,
    window: int | None = None,
    key_M: Tensor | None = None,
    model_B: Tensor | None = None,
) -> tuple[Tensor, Launch]:
    """Return the context. It is kept, with the logarithm of each row's sum.

    Where k and v are narrower than q, several heads of q share one of theirs. Examples may be of
    several models, which `model_B` says, each with a key of its own.
    """
    heads, lying = settings.heads, settings.spans.on(q_QD.device)
    num_queries, size = q_QD.shape
    width = size // heads.count
    out_QD = torch.empty(num_queries, size, dtype=q_QD.dtype, device=q_QD.device)
    log_sum_QH = torch.empty(num_queries, heads.count, device=q_QD.device)
    launch = Launch(
        tensors=(
            q_QD,
            k_TE,
            v_TE,
            out_QD.detach(),
            log_sum_QH,
            lying.query_offsets,
            lying.key_offsets,
            lying.example_B,
            keys_on(q_QD.device, settings.key) if key_M is None else key_M,
            lying.example_B if model_B is None else model_B,
        ),
        rows=(q_QD.stride(0), k_TE.stride(0), v_TE.stride(0)),
        constants={
            "SCORE_SCALE": heads.scale,
            "HEADS": heads.count,
            "SHARED": size // k_TE.shape[1],
            "WIDTH": width,
            "COLUMNS": ceil_power_of_2(width, least=16),
            "BLOCK": block_of(lying.longest, q_QD.dtype),
            "CAUSAL": is_causal,
            "WINDOW": window or 0,
            "THRESHOLD": dropped_below(settings.probability),
            "SCALE": 1 / (1 - settings.probability),
            "SEVERAL": model_B is not None,
            "PRECISION": precision_of(q_QD.dtype),
            "num_warps": NUM_WARPS,
        },
        num_examples=len(lying.example_B),
    )
    grid = (launch.num_examples, heads.count)
    kernels.forward_kernel[grid](*launch.tensors, *launch.rows, **launch.constants)
    return out_QD, launch


def differentiate(
    launch: Launch, gradient: Tensor, dq_QD: Tensor, dk_TE: Tensor, dv_TE: Tensor
) -> None:
    """Fill the gradients of queries, keys and values."""
    grid = (launch.num_examples, launch.constants["HEADS"] // launch.constants["SHARED"])
    kernels.backward_kernel[grid](
        *launch.tensors, *launch.rows, gradient, dq_QD, dk_TE, dv_TE, **launch.constants
    )


def add_gradients(launch: Launch, gradient: Tensor, inputs: tuple[Node, ...]) -> None:
    """Add the gradients of queries, keys and values, however they lie in the inputs."""
    found = [torch.empty_like(node.tensor) for node in inputs]
    differentiate(launch, gradient, *split_projections(found, gradient.shape[1]))
    for node, gradient_of_node in zip(inputs, found, strict=True):
        node.add(gradient_of_node)


class AttentionKernels:
    """The kernels of `Attention`."""

    @staticmethod
    def forward(settings: AttentionSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the context."""
        return attend(settings, *split_projections(inputs, width_of(inputs)))

    @staticmethod
    def backward(
        settings: AttentionSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of queries, keys and values."""
        add_gradients(kept, gradient, inputs)


class MaskedAttentionKernels:
    """The kernels of `MaskedAttention`, where scores have no cap."""

    @staticmethod
    def forward(settings: MaskedAttentionSettings, *inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the context."""
        scores = settings.scores
        return attend(settings.attention, *inputs, is_causal=scores.is_causal, window=scores.window)

    @staticmethod
    def backward(
        settings: MaskedAttentionSettings,
        kept: Any,
        gradient: Tensor,
        inputs: tuple[Node, ...],
        gradients: Gradients,
    ) -> None:
        """Add the gradients of queries, keys and values."""
        found = [torch.empty_like(node.tensor) for node in inputs]
        differentiate(kept, gradient, *found)
        for node, gradient_of_node in zip(inputs, found, strict=True):
            node.add(gradient_of_node)
